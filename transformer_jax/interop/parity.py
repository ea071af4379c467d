"""The gate of parity: a model in two programs must do the same.

Every export and import is compared on a sample before it gets its name: how text is
segmented, logits under teacher forcing, greedy search and beam search token for token,
and the text of the outputs. Both programs compute in float32, ours on the CPU.

Beam searches are comparable where both score a hypothesis by its log-probability over
`length ** alpha`, stop when no live hypothesis can still win, and end by themselves: at
the greatest length the programs differ in what they take.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.interop.other_program import OtherProgram
from transformer_jax.interop.parity_report import (
    COMPARED_BEAM,
    Comparison,
    ParityError,
    ParityReport,
)
from transformer_jax.interop.parity_sample import LONGEST_RANDOM, pad_rows, random_pairs
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer
from transformer_jax.translation.search_requests import Request
from transformer_jax.translation.translator import Translator

_EXTRA_LENGTH = 20
_NOTHING_ENDED = "no output of beam search ended by itself: none was compared"


def require_parity(
    translator: Translator, other: OtherProgram, sentences: Sequence[str]
) -> ParityReport:
    """Returns the report of two programs that do the same.

    Raises:
        ParityError: they do not.
    """
    report = compare_programs(translator, other, sentences)
    if report.difference is not None:
        raise ParityError(
            f"{report.program} does not do what this package does with the model: "
            f"{report.difference}; nothing was written."
        )
    return report


def compare_programs(
    translator: Translator, other: OtherProgram, sentences: Sequence[str]
) -> ParityReport:
    """Returns what both programs do with the same sentences and random token ids."""
    own = on_cpu(translator)
    tokenizer = own.tokenizer
    sentences, notes = _short_enough(own, other, sentences)
    with jax.default_matmul_precision("highest"):
        sources = tokenizer.encode_source(sentences)
        limit = max(map(len, sources)) + _EXTRA_LENGTH
        greedy = _search_settings(own.config.decoding, 1)
        outputs = _search(own, sources, greedy, limit)
        beam = _search_settings(own.config.decoding, COMPARED_BEAM)
        beams = _search(own, sources, beam, limit)
        largest = max(
            _logits_difference(own, other, *pairs)
            for pairs in ((sources, outputs), random_pairs(tokenizer))
        )
    others = other.search(sources, greedy, limit)
    other_beams = other.search(sources, beam, limit)
    ended = _compare_ended(beams, other_beams, tokenizer.eos_id)
    return ParityReport(
        program=other.name,
        sentences=len(sentences),
        segmentation=_compare_segmentation(own, other, sentences),
        logits_difference=largest,
        greedy=_compare(outputs, others),
        beam=ended,
        texts=_compare_texts(own, other, outputs),
        beam_size=beam.beam_size,
        length_penalty_alpha=(
            beam.length_penalty_alpha if beam.length_penalty == "length" else 0.0
        ),
        notes=notes if ended.compared else (*notes, _NOTHING_ENDED),
        padding=compare_padding(own, other, sentences),
    )


def _short_enough(
    own: Translator, other: OtherProgram, sentences: Sequence[str]
) -> tuple[Sequence[str], tuple[str, ...]]:
    """Returns the sentences that the other program has positions for, and a note.

    Raises:
        InputError: there is none, or random token ids have more.
    """
    most = other.position_limit - _EXTRA_LENGTH
    lengths = map(len, own.tokenizer.encode_source(sentences))
    short = [text for text, n in zip(sentences, lengths, strict=True) if n <= most]
    if not short or other.position_limit < LONGEST_RANDOM:
        raise InputError(
            f"{other.position_limit} positions are too few to compare the programs on "
            "the sample: give one of shorter sentences, or do not compare."
        )
    if len(short) == len(sentences):
        return sentences, ()
    number = len(sentences) - len(short)
    return short, (
        f"{number} of {len(sentences)} sentences of the sample have more than {most} "
        f"tokens, too many for {other.position_limit} positions: they were left out",
    )


def on_cpu(translator: Translator) -> Translator:
    """Returns the model on one CPU, where float32 is float32."""
    config = translator.config
    model = dataclasses.replace(
        config.model, compute_dtype="float32", attention_kernel="xla"
    )
    params = jax.tree.map(np.asarray, translator.params)
    config = config.replace(model=model, mesh=MeshConfig())
    return Translator(config, params, translator.tokenizer, _cpu_mesh())


def _cpu_mesh() -> Mesh:
    try:
        devices = jax.local_devices(backend="cpu")
    except RuntimeError:  # JAX_PLATFORMS leaves it out.
        devices = jax.local_devices()
    return make_mesh(MeshConfig(), devices[:1])


def _search_settings(run: DecodingConfig, beam_size: int) -> DecodingConfig:
    """Returns the part of a run's search that other programs have too."""
    alpha = 1.0 if run.length_penalty == "none" else run.length_penalty_alpha
    return DecodingConfig(
        beam_size=beam_size,
        length_penalty="none" if run.length_penalty == "none" else "length",
        length_penalty_alpha=alpha,
        forbidden_tokens=run.forbidden_tokens,
        compute_dtype="float32",
    )


def _search(
    translator: Translator,
    sources: Sequence[list[int]],
    settings: DecodingConfig,
    limit: int,
) -> list[list[int]]:
    settings = settings.replace(max_extra_length=limit)
    requests = [Request(source, limit) for source in sources]
    return [best[0].tokens for best in translator.search(requests, 1, settings)]


def _logits_difference(
    own: Translator,
    other: OtherProgram,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
) -> float:
    """Returns the largest difference over the standard deviation; NaN if any is."""
    _, real = pad_rows(targets, own.tokenizer.pad_id)
    ours = _logits(own, sources, targets)[real].astype(np.float64)
    theirs = other.logits(sources, targets)[real]
    return float(np.abs(ours - theirs).max() / max(float(theirs.std()), 1e-30))


def _logits(
    own: Translator,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
) -> np.ndarray:
    tokenizer, model = own.tokenizer, Transformer(own.config.model)
    source, source_real = pad_rows(sources, tokenizer.pad_id)
    inputs, inputs_real = pad_rows(shift_right(targets, tokenizer.bos_id), 0)

    def run(params: Params, source: Array, segments: Array, inputs: Array) -> Array:
        def project(model: Transformer) -> Array:
            hidden = model(source, inputs, source_segments=segments, deterministic=True)
            return model.logits(hidden)

        logits: Any = model.apply({"params": params}, method=project)
        return jnp.asarray(logits)

    del inputs_real  # No position sees a later one.
    arguments = (source, source_real, inputs)
    with jax.default_device(own.mesh.devices.flat[0]):
        rows = (jnp.asarray(array, jnp.int32) for array in arguments)
        return np.asarray(jax.jit(run)(own.params, *rows))


def shift_right(targets: Sequence[Sequence[int]], start: int) -> list[list[int]]:
    """Returns the inputs of the decoder for given targets."""
    return [[start, *target[:-1]] for target in targets]


def _compare(
    ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]
) -> Comparison:
    equal = sum(
        list(mine) == list(yours) for mine, yours in zip(ours, theirs, strict=True)
    )
    return Comparison(len(ours), equal)


def _compare_ended(
    ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]], eos_id: int
) -> Comparison:
    ended = [
        (mine, yours)
        for mine, yours in zip(ours, theirs, strict=True)
        if eos_id in mine[-1:] and eos_id in yours[-1:]
    ]
    return _compare([mine for mine, _ in ended], [yours for _, yours in ended])


def _compare_segmentation(
    own: Translator, other: OtherProgram, sentences: Sequence[str]
) -> Comparison:
    unknown = own.tokenizer.unk_id
    ours = own.tokenizer.encode_source(sentences)
    ours += own.tokenizer.encode_target(sentences)
    theirs = [*other.encode_source(sentences), *other.encode_target(sentences)]
    known = [
        (mine, yours)
        for mine, yours in zip(ours, theirs, strict=True)
        if mine == yours or unknown not in yours
    ]
    return _compare([mine for mine, _ in known], [yours for _, yours in known])


def compare_padding(
    own: Translator, other: OtherProgram, sentences: Sequence[str]
) -> Comparison:
    """Returns how many rows of a padded batch are the texts alone, and padding.

    Padding has to be a token id that the model has an embedding of.
    """
    tokenizer = own.tokenizer
    encoded = tokenizer.encode_source(sentences)
    by_length = sorted(range(len(sentences)), key=lambda i: len(encoded[i]))
    chosen = [by_length[0], by_length[-1]]
    ids, real = other.encode_batch([sentences[i] for i in chosen])
    rows = [
        [] if row.max() >= tokenizer.source_vocab_size else row[is_real].tolist()
        for row, is_real in zip(ids, real, strict=True)
    ]
    known = [
        (encoded[i], row)
        for i, row in zip(chosen, rows, strict=True)
        if row == encoded[i] or tokenizer.unk_id not in row
    ]
    return _compare([mine for mine, _ in known], [yours for _, yours in known])


def _compare_texts(
    own: Translator, other: OtherProgram, outputs: Sequence[list[int]]
) -> Comparison:
    tokenizer = own.tokenizer
    left_out = {tokenizer.unk_id, *tokenizer.target_symbols.values()}
    known = [output for output in outputs if not left_out & set(output)]
    ours, theirs = tokenizer.decode_target(known), other.decode_target(known)
    equal = sum(mine == yours for mine, yours in zip(ours, theirs, strict=True))
    return Comparison(len(known), equal)
