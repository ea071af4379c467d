"""A corpus on disk is the text, no more and no less."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from transformer_jax.config.experiment import DataConfig, TokenizerConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.data import encoded_chunks
from transformer_jax.data.batch import make_batch
from transformer_jax.data.corpus import make_corpus
from transformer_jax.data.corpus_files import load_corpus, write_corpus
from transformer_jax.data.pipeline import pack_corpus
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import Tokenizer, train_tokenizer

PAIRS = [
    ("A man rides a bicycle.", "Ein Mann fährt Fahrrad."),
    ("Two dogs.", "Zwei Hunde."),
    ("The weather was fine, and they played.", "Das Wetter war schön."),
]
SIDES, KINDS = ("source", "target"), ("tokens", "offsets")
EMPTY = [("", "Zwei."), ("Two.", " \t"), ("", ""), ("\u00a0", "x")]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    model = ModelConfig.tiny(vocab_size=310)
    return train_tokenizer(PAIRS, TokenizerConfig(), model)


def test_holds_the_sentences_in_order(tokenizer, tmp_path):
    corpus = write_corpus(PAIRS, tokenizer, tmp_path / "train", fingerprint="abc")
    sources = tokenizer.encode_source([source for source, _ in PAIRS])
    targets = tokenizer.encode_target([target for _, target in PAIRS])
    assert corpus.num_pairs == 3
    for i in range(3):
        assert corpus.source[i].tolist() == sources[i]
        assert corpus.target[i].tolist() == targets[i]
    assert corpus.source_lengths.tolist() == [len(ids) for ids in sources]
    assert corpus.target_lengths.tolist() == [len(ids) for ids in targets]
    assert corpus.tokenizer_digest == tokenizer.digest
    assert corpus.fingerprint == "abc"
    assert (corpus.bos_id, corpus.pad_id) == (tokenizer.bos_id, tokenizer.pad_id)


def test_in_memory_is_the_same(tokenizer, tmp_path):
    written = write_corpus(PAIRS, tokenizer, tmp_path / "train")
    made = make_corpus(
        tokenizer.encode_source([source for source, _ in PAIRS]),
        tokenizer.encode_target([target for _, target in PAIRS]),
        bos_id=tokenizer.bos_id,
        pad_id=tokenizer.pad_id,
    )
    for side in ("source", "target"):
        for field in ("tokens", "offsets"):
            np.testing.assert_array_equal(
                getattr(getattr(made, side), field),
                getattr(getattr(written, side), field),
            )


def test_empty_pairs_are_counted(tokenizer, tmp_path):
    mixed = [EMPTY[0], PAIRS[0], EMPTY[1], EMPTY[2], PAIRS[1], EMPTY[3], PAIRS[2]]
    corpus = write_corpus(mixed, tokenizer, tmp_path / "train")
    plain = write_corpus(PAIRS, tokenizer, tmp_path / "plain")
    assert (corpus.num_pairs, corpus.num_empty) == (3, 4)
    np.testing.assert_array_equal(corpus.target.tokens, plain.target.tokens)
    manifest = json.loads((tmp_path / "train" / "manifest.json").read_text())
    assert manifest["num_pairs"] == 3
    assert manifest["num_empty"] == 4
    assert manifest["num_source_tokens"] == corpus.source_lengths.sum()
    assert manifest["num_target_tokens"] == corpus.target_lengths.sum()


def test_chunks_leave_no_seam(tokenizer, tmp_path, monkeypatch):
    whole = write_corpus(PAIRS * 5, tokenizer, tmp_path / "whole")
    monkeypatch.setattr(encoded_chunks, "_PAIRS_PER_CHUNK", 4)
    chunked = write_corpus(PAIRS * 5, tokenizer, tmp_path / "chunked")
    np.testing.assert_array_equal(chunked.source.offsets, whole.source.offsets)
    np.testing.assert_array_equal(chunked.source.tokens, whole.source.tokens)


def test_all_cores_write_what_one_would(tokenizer, tmp_path, monkeypatch):
    """The first chunks end last; SentencePiece encodes in one thread to compare."""
    monkeypatch.setattr(encoded_chunks, "_PAIRS_PER_CHUNK", 5)
    encode, seconds = encoded_chunks._encode, iter([0.2, 0.05, 0.0] + 99 * [0.0])

    def encode_later(*given):
        time.sleep(next(seconds))
        return encode(*given)

    monkeypatch.setattr(encoded_chunks, "_encode", encode_later)
    pairs = [(f"{number} {source}", target) for number in range(9)
             for source, target in PAIRS]  # fmt: skip
    corpus = write_corpus(pairs, tokenizer, tmp_path / "train")
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.source_model)
    expected = processor.encode([s for s, _ in pairs], add_eos=True, num_threads=1)
    assert [corpus.source[i].tolist() for i in range(len(pairs))] == expected


def test_a_later_chunk_that_is_refused_leaves_nothing(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(encoded_chunks, "_PAIRS_PER_CHUNK", 2)
    pairs = [*PAIRS * 3, ("half \ud800", "x"), *PAIRS * 3]
    with pytest.raises(InputError, match="half of a surrogate pair"):
        write_corpus(pairs, tokenizer, tmp_path / "train")
    assert list(tmp_path.iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("encode")]


def test_tokens_take_two_bytes(tokenizer, tmp_path):
    corpus = write_corpus(PAIRS, tokenizer, tmp_path / "train")
    assert corpus.source.tokens.dtype == np.uint16
    assert isinstance(corpus.source.tokens, np.memmap)


def test_nothing_usable(tokenizer, tmp_path):
    for pairs in ([], EMPTY):
        with pytest.raises(InputError, match=f"all {len(pairs)} have an empty"):
            write_corpus(pairs, tokenizer, tmp_path / "train")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [f"{s}_{k}.bin" for s in SIDES for k in KINDS])
def test_a_file_cut_short_while_it_is_read_is_noticed(name, tokenizer, tmp_path):
    """Reading on would end the process with a bus error."""
    corpus = write_corpus(PAIRS * 1_000, tokenizer, tmp_path / "train")
    data = DataConfig(source_length=32, target_length=32, batch_tokens=64)
    packed = pack_corpus(corpus, data, seed=0)
    make_batch(corpus, packed, np.arange(2))
    os.truncate(tmp_path / "train" / name, 8)
    with pytest.raises(InputError, match=rf"train/{name}' was cut short while"):
        make_batch(corpus, packed, np.arange(2))


def test_interrupted_writing_leaves_the_old_one(tokenizer, tmp_path):
    def interrupted():
        yield from PAIRS
        raise KeyboardInterrupt

    write_corpus(PAIRS[:2], tokenizer, tmp_path / "train")
    with pytest.raises(KeyboardInterrupt):
        write_corpus(interrupted(), tokenizer, tmp_path / "train")
    assert [path.name for path in tmp_path.iterdir()] == ["train"]
    assert load_corpus(tmp_path / "train").num_pairs == 2


def test_writing_again_replaces(tokenizer, tmp_path):
    write_corpus(PAIRS[:2], tokenizer, tmp_path / "train")
    assert write_corpus(PAIRS, tokenizer, tmp_path / "train").num_pairs == 3
    assert load_corpus(tmp_path / "train").num_pairs == 3


def test_no_corpus(tmp_path):
    with pytest.raises(InputError, match=r"no tokenised corpus in .*manifest\.json"):
        load_corpus(tmp_path / "absent")


def damaged(folder: Path, change: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    if change == "cut":
        tokens = (folder / "source_tokens.bin").read_bytes()
        (folder / "source_tokens.bin").write_bytes(tokens[:-1])
    elif change == "missing":
        (folder / "target_offsets.bin").unlink()
    elif change == "not json":
        (folder / "manifest.json").write_text("{")
    elif change == "key":
        del manifest["num_pairs"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
    else:
        manifest["format_version"] = 99
        (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cut", r"source_tokens\.bin' has \d+ bytes, not the \d+"),
        ("missing", r"target_offsets\.bin is missing"),
        ("not json", "damaged"),
        ("key", "damaged .*num_pairs"),
        ("version", "format 99, not 1"),
    ],
)
def test_damaged_corpus(tokenizer, tmp_path, change, message):
    write_corpus(PAIRS, tokenizer, tmp_path / "train")
    damaged(tmp_path / "train", change)
    with pytest.raises(InputError, match=message) as caught:
        load_corpus(tmp_path / "train")
    assert "\n" not in str(caught.value)


def test_sides_must_match():
    with pytest.raises(InputError, match="2 source sentences but 1 target"):
        make_corpus([[5, 2], [6, 2]], [[5, 2]], bos_id=1, pad_id=0)
