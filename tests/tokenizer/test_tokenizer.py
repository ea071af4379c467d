"""Sentence -> ids -> sentence, and what a tokenizer refuses."""

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from transformer_jax.config.experiment import TokenizerConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.tokenizer import vocabulary
from transformer_jax.tokenizer.checks import check_vocabulary
from transformer_jax.tokenizer.tokenizer import (
    SHARED_FILE,
    SOURCE_FILE,
    TARGET_FILE,
    Tokenizer,
    has_tokenizer,
    load_tokenizer,
    train_tokenizer,
)

MULTI30K = Path(__file__).resolve().parents[2] / "../shared/data/multi30k"

ENGLISH = [
    "A man is riding a bicycle.",
    "Two dogs run across the wet grass!",
    "The weather was fine, and the children played outside.",
    "She gave the old book to her brother.",
]
GERMAN = [
    "Ein Mann fährt auf einem Fahrrad.",
    "Zwei Hunde laufen über das nasse Gras!",
    "Das Wetter war schön, und die Kinder spielten draußen.",
    "Sie gab ihrem Bruder das alte Buch.",
]
PAIRS = list(zip(ENGLISH, GERMAN, strict=True))
SIZE = 330  # 256 bytes, 4 special ids, the characters and a few merges.
NEVER_SEEN = [
    "中文🙂½™ \uff21",
    "naïve Œuvre ﬁ",
    "x\x00y",
    "ab\u0301c",
    "</s> <unk> <0x41>",
]


def train(pairs=PAIRS, size=SIZE, target_size=None, **settings) -> Tokenizer:
    model = ModelConfig.tiny(
        vocab_size=size,
        target_vocab_size=target_size,
        share_embeddings="none" if target_size else "all",
    )
    return train_tokenizer(pairs, TokenizerConfig(**settings), model)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train()


def lines(path: Path, count: int) -> list[str]:
    if not path.exists():
        pytest.skip(f"Multi30k is not here: {path}")
    return path.read_text(encoding="utf-8").split("\n")[:count]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("language", ["de", "fr"])
def test_real_text_comes_back(kind, language):
    english = lines(MULTI30K / "train.en", 4_000)
    other = lines(MULTI30K / f"train.{language}", 4_000)
    tokenizer = train(list(zip(english, other, strict=True)), 3_000, kind=kind)
    held_out = lines(MULTI30K / f"val.{language}", 500) + NEVER_SEEN
    decoded = tokenizer.decode_target(tokenizer.encode_target(held_out))
    assert decoded == [" ".join(sentence.split()) for sentence in held_out]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_text_comes_back(kind):
    tokenizer = train(kind=kind)
    held_out = ["Zwei Hunde spielen am Strand.", "Où est la gare ?", *NEVER_SEEN]
    assert tokenizer.decode_target(tokenizer.encode_target(held_out)) == held_out


def test_any_character_comes_back_without_unknowns(tokenizer):
    ids = tokenizer.encode_target(NEVER_SEEN)
    assert not any(tokenizer.unk_id in sentence for sentence in ids)
    assert tokenizer.decode_target(ids) == NEVER_SEEN


def test_white_space_becomes_single_spaces(tokenizer):
    ids = tokenizer.encode_target(["  a\u00a0b\t\n c\u2009d\u3000", "▁a ▁ b▁▁c d▁"])
    assert tokenizer.decode_target(ids) == ["a b c d"] * 2


def test_ends_once_and_decodes_up_to_there(tokenizer):
    (ids,) = tokenizer.encode_target(GERMAN[:1])
    assert ids.count(tokenizer.eos_id) == 1
    assert ids[-1] == tokenizer.eos_id
    padded = [tokenizer.bos_id, *ids, *ids, tokenizer.pad_id]
    unfinished = [tokenizer.pad_id, *ids[:-1]]
    assert tokenizer.decode_target([padded, unfinished]) == [GERMAN[0]] * 2
    assert tokenizer.decode_target([]) == []
    assert tokenizer.encode_source([]) == []


def test_special_ids_are_the_models_own(tokenizer):
    ids = [tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id]
    assert tokenizer.target_pieces(ids) == ["<pad>", "<s>", "</s>", "<unk>"]


def test_pieces_spell_the_sentence(tokenizer):
    (ids,) = tokenizer.encode_source(ENGLISH[:1])
    spelt = "".join(tokenizer.source_pieces(ids[:-1])).replace("▁", " ")
    assert spelt.strip() == ENGLISH[0]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_training_twice_gives_the_same_bytes(kind):
    first, second = train(kind=kind), train(kind=kind)
    assert first.source_model == second.source_model
    assert first.digest == second.digest
    assert first.digest != train(kind=kind, lowercase=True).digest


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("symbols", [(), ("<2de>", "ei")])
def test_bpe_of_counted_words_is_that_of_the_lines(lowercase, symbols):
    """SentencePiece itself reads the lines; one has its sign for unknown characters."""
    text = [side for pair in PAIRS for side in pair]
    text = [f"<2de>{line}" if n % 3 else f" {line}\u2003x ▁" for n, line in
            enumerate(text)] + ["", " ", "left out \u2585", *NEVER_SEEN]  # fmt: skip
    config = TokenizerConfig(lowercase=lowercase, user_symbols=symbols)
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=written, model_type="bpe",
        vocab_size=400, byte_fallback=True, pad_id=0, bos_id=1, eos_id=2, unk_id=3,
        character_coverage=config.character_coverage, minloglevel=2,
        normalizer=vocabulary._normalizer(lowercase),
        user_defined_symbols=list(symbols),
    )  # fmt: skip
    learnt = vocabulary.learn_vocabulary(text, config, 400, "model.vocab_size")
    pieces = [
        [(piece.piece, piece.score, piece.type) for piece in model.pieces]
        for model in map(ModelProto.FromString, (written.getvalue(), learnt))
    ]
    assert pieces[0] == pieces[1]


def test_lowercase_is_in_the_file(tmp_path):
    train(lowercase=True).save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    ids = loaded.encode_target(["GRÜẞE aus der Straße ÅÉÎ"])
    assert loaded.decode_target(ids) == ["grüße aus der straße åéî"]


def test_shared_is_saved_as_one_file(tokenizer, tmp_path):
    (tmp_path / SOURCE_FILE).write_bytes(b"of an earlier run")
    tokenizer.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [SHARED_FILE]
    loaded = load_tokenizer(tmp_path)
    assert loaded == tokenizer
    assert loaded.digest == tokenizer.digest


def test_separate_vocabularies(tmp_path):
    separate = train(size=320, target_size=330, shared=False)
    separate.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {SOURCE_FILE, TARGET_FILE}
    loaded = load_tokenizer(tmp_path)
    assert (loaded.source_vocab_size, loaded.target_vocab_size) == (320, 330)
    assert loaded.encode_source(ENGLISH) != loaded.encode_target(ENGLISH)
    assert loaded.decode_target(loaded.encode_target(GERMAN)) == GERMAN
    # Trained on its own side only: German letters are bytes to the source.
    assert "ß" not in loaded.source_pieces(range(320))
    assert "ß" in loaded.target_pieces(range(330))


@pytest.mark.parametrize(("shared", "size"), [(True, 275), (False, 273)])
def test_learns_from_an_evenly_spaced_sample(shared, size):
    # Each pair has a letter of its own, so the vocabulary shows which were read.
    letters = [chr(0x4E00 + i) for i in range(1_000)]
    pairs = [(f"a b {letter}", f"c d {letter}") for letter in letters]
    tokenizer = train(
        pairs, size, None if shared else size, shared=shared, character_coverage=1.0,
        max_sentences=20 if shared else 10,
    )  # fmt: skip
    for pieces in (tokenizer.source_pieces, tokenizer.target_pieces):
        read = [i for i, letter in enumerate(letters) if letter in pieces(range(size))]
        assert len(read) == 10
        assert np.ptp(np.diff(read)) == 0


def test_very_long_line_is_learnt_from():
    unusual = "ж" * 50 + " " + "word " * 3_000
    tokenizer = train([(unusual, "a b")], 268, character_coverage=1.0)
    assert "ж" in "".join(tokenizer.source_pieces(range(268)))


def test_training_says_nothing():
    # In a process of its own: the log level, once set, stays.
    script = "from test_tokenizer import train; train()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_too_large_vocabulary_names_the_largest(kind):
    with pytest.raises(InputError, match=r"^model\.vocab_size=99999 is more") as caught:
        train(size=99_999, kind=kind)
    largest = int(str(caught.value).split("at most ")[1].split(",")[0])
    assert train(size=largest, kind=kind).source_vocab_size == largest


def test_too_small_vocabulary_names_the_smallest():
    with pytest.raises(InputError, match=r"^model\.vocab_size=100 is too") as caught:
        train(size=100)
    smallest = int(str(caught.value).split("above ")[1].split(",")[0]) + 1
    assert train(size=smallest).source_vocab_size == smallest


def test_too_large_target_vocabulary_is_named():
    with pytest.raises(InputError, match=r"^model\.target_vocab_size=99999 is more"):
        train(size=320, target_size=99_999, shared=False)


@pytest.mark.parametrize("pairs", [[], [("", " ")]])
def test_text_without_words(pairs):
    with pytest.raises(InputError, match="no words"):
        train(pairs)


def test_an_error_of_the_text_keeps_its_kind():
    class Broken(list):
        def __iter__(self):
            yield from PAIRS
            raise InputError("line 7 of train.de is not UTF-8.")

    with pytest.raises(InputError, match=r"^line 7 of train\.de"):
        train(Broken(PAIRS))


def test_half_a_surrogate_pair(tokenizer):
    with pytest.raises(InputError, match="half of a surrogate pair at character 3"):
        tokenizer.encode_source(["fine", "ab\ud800"])
    with pytest.raises(InputError, match="half of a surrogate pair at character 3"):
        train([("ab\ud800", "b")])


def test_no_tokenizer_file(tmp_path, tokenizer):
    assert not has_tokenizer(tmp_path / "absent")
    with pytest.raises(InputError, match=r"expected tokenizer\.model, or"):
        load_tokenizer(tmp_path / "absent")
    (tmp_path / SOURCE_FILE).write_bytes(tokenizer.source_model)
    assert has_tokenizer(tmp_path)
    with pytest.raises(InputError, match=r"expected tokenizer\.model, or"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("contents", [b"", b"hello world", b"\x00" * 100])
def test_not_a_sentencepiece_model(tmp_path, contents):
    (tmp_path / SHARED_FILE).write_bytes(contents)
    with pytest.raises(InputError, match=r"tokenizer\.model' is not a SentencePiece"):
        load_tokenizer(tmp_path)


def test_half_a_file(tmp_path, tokenizer):
    half = tokenizer.source_model[: len(tokenizer.source_model) // 2]
    (tmp_path / SHARED_FILE).write_bytes(half)
    with pytest.raises(InputError, match=r"tokenizer\.model' is not a SentencePiece"):
        load_tokenizer(tmp_path)


def test_check_vocabulary(tokenizer):
    model = ModelConfig.tiny(vocab_size=SIZE)
    check_vocabulary(tokenizer, model)
    with pytest.raises(
        InputError, match=rf"^model\.vocab_size=64 .* has {SIZE} tokens"
    ):
        check_vocabulary(tokenizer, ModelConfig.tiny())
    other = dataclasses.replace(
        model, target_vocab_size=SIZE + 1, share_embeddings="none"
    )
    with pytest.raises(InputError, match=rf"^model\.target_vocab_size={SIZE + 1} "):
        check_vocabulary(tokenizer, other)
