"""README of a directory in CTranslate2's format: how to get the same text from it."""

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.interop.ctranslate2_parameters import NUM_POSITIONS
from transformer_jax.interop.ctranslate2_parity import BEAM_SIZE, CTranslate2Parity
from transformer_jax.interop.ctranslate2_program import search_options
from transformer_jax.tokenizer.tokenizer import (
    SHARED_FILE,
    SOURCE_FILE,
    TARGET_FILE,
    Tokenizer,
)
from transformer_jax.version import VERSION

_PAGE = """\
# A model for CTranslate2

Made by transformer_jax {version} of {origin}; weights in
{quantization}.{license}

```python
{example}```

It needs `pip install ctranslate2 sentencepiece`. Run it in this directory; on a GPU
give `device="cuda"`.

## Tokens

- Text becomes pieces by SentencePiece: `{source_file}` for the source,
  `{target_file}` for the output. By ids, as above: a character without a piece has
  the id of `{unk}`.
- The source ends with `{eos}`, which CTranslate2 adds itself (`add_source_eos`).
- The decoder begins with `{bos}` (`decoder_start_token`), and an output ends with
  `{eos}`.
- {positions}

## Search

This model's settings: {settings}.

CTranslate2 divides the log-probability of a hypothesis of n tokens, the end included,
by `n ** length_penalty`. Ours is divided by {penalty}.
{advice}
CTranslate2 stops when `beam_size * patience` hypotheses have ended; with
`early_stopping = "exact"` transformer_jax stops when no other can become the best. In
rare sentences the texts differ for that. With `length_penalty = "length"` and
`early_stopping = "first"` in transformer_jax, and its exponent as `length_penalty`
here, both searches are one.

By default CTranslate2 forbids empty outputs (`min_decoding_length=1`), cuts outputs at
256 tokens (`max_decoding_length`; above at {extra} more than the source) and sources at
1,024 (`max_input_length`). transformer_jax translates long sentences in parts, the
program above does not.
{left_out}
## Compared

{parity}
"""


def readme(
    config: ExperimentConfig,
    tokenizer: Tokenizer,
    quantization: str,
    origin: str,
    license: str | None,
    parity: CTranslate2Parity | None,
) -> str:
    """Returns the contents of `README.md`.

    Args:
        origin: the checkpoint it was made from.
        license: its name, in one line.
        parity: what was compared; None = nothing.
    """
    decoding = config.decoding
    source_file, target_file = _files(tokenizer)
    unk, eos, bos = tokenizer.target_pieces(
        [tokenizer.unk_id, tokenizer.eos_id, tokenizer.bos_id]
    )
    is_learned = config.model.positions == "learned"
    rows = config.model.max_length if is_learned else NUM_POSITIONS
    kind = "a learned table" if is_learned else "the paper's sinusoids"
    return _PAGE.format(
        version=VERSION,
        origin=origin,
        quantization=quantization,
        license="" if license is None else f" License: {license}.",
        example=_example(decoding, tokenizer, rows),
        source_file=source_file,
        target_file=target_file,
        unk=unk,
        eos=eos,
        bos=bos,
        positions=f"Positions are {kind}, {rows:,} of them; a longer text is an error.",
        settings=_describe(decoding),
        penalty=_penalty_in_words(decoding),
        advice=_advice(decoding),
        extra=decoding.max_extra_length,
        left_out=_left_out(decoding),
        parity=_parity_in_words(parity),
    )


_ADVICE = """
CTranslate2 has no setting for that. So the program asks for all hypotheses with
`length_penalty=1`, whose score is the mean over the tokens, and ranks them anew. With
`length_penalty={alpha}` and one hypothesis instead, most sentences are the same.
"""


def _advice(decoding: DecodingConfig) -> str:
    if not _is_ranked_anew(decoding):
        return ""
    return _ADVICE.format(alpha=decoding.length_penalty_alpha)


def _files(tokenizer: Tokenizer) -> tuple[str, str]:
    if tokenizer.is_shared:
        return SHARED_FILE, SHARED_FILE
    return SOURCE_FILE, TARGET_FILE


def _is_ranked_anew(decoding: DecodingConfig) -> bool:
    return decoding.beam_size > 1 and decoding.length_penalty == "gnmt"


def _example(decoding: DecodingConfig, tokenizer: Tokenizer, positions: int) -> str:
    """Returns the program that translates a line as the model's settings say."""
    longest = f"min({positions}, len(pieces) + 1 + {decoding.max_extra_length})"
    source_file, target_file = _files(tokenizer)
    options = {
        **search_options(decoding),
        "min_decoding_length": decoding.min_length,
        "max_input_length": 0,
    }
    if decoding.no_repeat_ngram_size is not None:
        options["no_repeat_ngram_size"] = decoding.no_repeat_ngram_size
    if decoding.forbidden_tokens:
        forbidden = tokenizer.target_pieces(decoding.forbidden_tokens)
        options["suppress_sequences"] = [[piece] for piece in forbidden]
    arguments = ", ".join(f"{name}={value!r}" for name, value in options.items())
    eos = tokenizer.target_pieces([tokenizer.eos_id])[0]
    lines = [
        "import ctranslate2",
        "import sentencepiece",
        "",
        f"source = sentencepiece.SentencePieceProcessor({source_file!r})",
        f"target = sentencepiece.SentencePieceProcessor({target_file!r})",
        'translator = ctranslate2.Translator(".")',
        "",
        "",
        "def translate(sentence):",
        "    pieces = [source.id_to_piece(i) for i in source.encode(sentence)]",
        "    (result,) = translator.translate_batch(",
        "        [pieces],",
        f"        max_decoding_length={longest},",
        "        return_scores=True,",
        "        return_end_token=True,",
        *(f"        {argument}," for argument in _split(arguments)),
        "    )",
        *_choice(decoding, eos),
        f"    ids = [target.piece_to_id(piece) for piece in best if piece != {eos!r}]",
        "    return target.decode(ids)",
        "",
        "",
        'print(translate("This is a test."))',
    ]
    return "".join(f"{line}\n" for line in lines)


def _split(arguments: str) -> list[str]:
    """Returns `name=value` each, where values may have commas in brackets."""
    parts, depth = [""], 0
    for character in arguments:
        depth += (character in "[(") - (character in "])")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _choice(decoding: DecodingConfig, eos: str) -> list[str]:
    """Returns the lines that choose the best hypothesis."""
    if not _is_ranked_anew(decoding):
        return ["    best = result.hypotheses[0]"]
    return [
        "",
        "    def rank(hypothesis):",
        "        pieces, mean_log_prob = hypothesis",
        "        n = len(pieces)",
        f"        penalty = ((5 + n) / 6) ** {decoding.length_penalty_alpha}",
        f"        return pieces[-1:] == [{eos!r}], mean_log_prob * n / penalty",
        "",
        "    best, _ = max(zip(result.hypotheses, result.scores), key=rank)",
    ]


def _penalty_in_words(decoding: DecodingConfig) -> str:
    alpha = decoding.length_penalty_alpha
    return {
        "gnmt": f"GNMT's, `((5 + n) / 6) ** {alpha}`",
        "length": f"the same, with `length_penalty={alpha}`",
        "none": "1, which is `length_penalty=0`",
    }[decoding.length_penalty]


def _describe(decoding: DecodingConfig) -> str:
    if decoding.beam_size == 1:
        return "greedy search"
    return (
        f"beam {decoding.beam_size}, `length_penalty = "
        f'"{decoding.length_penalty}"`, `length_penalty_alpha = '
        f"{decoding.length_penalty_alpha}`, `early_stopping = "
        f'"{decoding.early_stopping}"`'
    )


def _left_out(decoding: DecodingConfig) -> str:
    """Returns what the example does not do as the settings say."""
    found = []
    if decoding.coverage_penalty:
        found.append(f"`coverage_penalty = {decoding.coverage_penalty}`")
    if decoding.sampling:
        found.append("`sampling = true`")
    if not found:
        return ""
    return f"\nThe program leaves out {' and '.join(found)} of this model's settings.\n"


def _parity_in_words(parity: CTranslate2Parity | None) -> str:
    if parity is None:
        return "The programs were not compared."
    rows = {
        "greedy": parity.greedy,
        f"beam {BEAM_SIZE}, `length_penalty=0.6`": parity.beam,
        "this model's settings, by the program above": parity.own_settings,
    }
    table = "\n".join(
        f"| {name} | {each.equal} | {each.ties} | {each.cut} | {each.different} |"
        for name, each in rows.items()
    )
    return (
        f"Both programs have translated {parity.sentences} sentences, transformer_jax "
        f"in float32,\n{parity.program}; `parity.json` has the numbers.\n"
        "Log-probabilities of given tokens differ by at most "
        f"{parity.log_prob_difference:.1e}.\n\n"
        "| search | equal | equal scores | cut at greatest length | different |\n"
        f"|---|---|---|---|---|\n{table}"
    )
