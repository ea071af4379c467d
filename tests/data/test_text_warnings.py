"""Text that is probably not what was meant: a warning with its share, or an error."""

import logging
import os
import threading

import pytest
from tiny_runs import reversed_pairs, tiny_config

from transformer_jax.data.corpus_files import verify_corpus
from transformer_jax.data.packing import pack_pairs
from transformer_jax.data.sentence_pairs import from_files
from transformer_jax.data.text_warnings import log_size, warn_of_rows
from transformer_jax.errors import InputError
from transformer_jax.training.preparation import prepare

PAIRS = reversed_pairs(100)


def warnings_of(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_ordinary_text_needs_no_warning(tmp_path, caplog):
    data = prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    warn_of_rows(data.train, pack(data.train, 24))
    assert warnings_of(caplog) == []


def pack(corpus, length: int):
    return pack_pairs(corpus.source_lengths, corpus.target_lengths, length, length)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(s, s) for s, _ in PAIRS], "100.0% of the pairs have the same text on both"),
        ([*PAIRS[:90], *[("ba", " ")] * 10], "10.0% of the pairs have an empty side"),
        (
            [*PAIRS, ("ba " * 20_000, "be")],
            "left 1 of 202 lines out of the vocabulary, as they are longer than 16384",
        ),
    ],
    ids=["same", "empty", "long"],
)
def test_strange_text_is_told_with_its_share(pairs, message, tmp_path, caplog):
    prepare(tiny_config(), tmp_path, train_pairs=pairs)
    (warning,) = warnings_of(caplog)
    assert message in warning


@pytest.mark.slow
def test_a_line_of_megabytes_does_not_rule_the_vocabulary(tmp_path):
    alone = prepare(tiny_config(), tmp_path / "alone", train_pairs=PAIRS)
    long = [*PAIRS, ("xyz " * 500_000, "be")]
    assert prepare(tiny_config(), tmp_path / "long", train_pairs=long).tokenizer == (
        alone.tokenizer
    )


def test_text_without_ends_of_lines_is_no_text(tmp_path, caplog):
    book = " ".join(source for source, _ in PAIRS)
    config = tiny_config(model__vocab_size=290)
    prepare(config, tmp_path / "short", train_pairs=[(book, book + " ba")])
    assert "train pairs: 1 pair; a text has one sentence a line" in caplog.text
    with pytest.raises(InputError, match="every line of the training text is longer"):
        prepare(config, tmp_path / "long", train_pairs=[(book * 40, book * 41)])


def test_letters_that_the_tokenizer_does_not_know_are_told(tmp_path, caplog):
    """A tokenizer of the user's own, and a text in another script."""
    prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    (tmp_path / "tokenizer.json").unlink()
    greek = [("αβγδ εζ", "ba be")] * 50
    prepare(tiny_config(), tmp_path, train_pairs=greek)
    (warning,) = warnings_of(caplog)
    assert "% of the source subwords are single bytes" in warning


def test_pairs_that_no_row_holds_are_told_with_their_share(tmp_path, caplog):
    data = prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    packed = pack(data.train, 4)
    share = len(packed.too_long) / 100
    assert share > 0.05
    warn_of_rows(data.train, packed)
    (warning,) = warnings_of(caplog)
    assert f"{share:.1%} of the training pairs are too long" in warning


@pytest.mark.parametrize(("batch_tokens", "told"), [(24 * 4, False), (24_000, True)])
def test_an_update_of_several_epochs_is_told(tmp_path, caplog, batch_tokens, told):
    """As of the paper's batch and a small text."""
    config = tiny_config(data__batch_tokens=batch_tokens)
    data = prepare(config, tmp_path, train_pairs=PAIRS)
    log_size(data.train, pack(data.train, 24), config.data)
    found = [each for each in warnings_of(caplog) if "every update has all" in each]
    assert len(found) == told


def test_a_pipe_is_read_as_a_file_is(tmp_path):
    files = []
    for side, column in (("source", 0), ("target", 1)):
        path = tmp_path / side
        os.mkfifo(path)
        text = "".join(f"{pair[column]}\n" for pair in PAIRS)
        threading.Thread(target=path.write_text, args=(text,)).start()
        files.append(path)
    assert list(from_files(*files)) == PAIRS


def test_a_flipped_bit_in_a_corpus_is_seen_and_mended(tmp_path, caplog):
    data = prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    path = tmp_path / "corpus" / "train" / "target_tokens.bin"
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(InputError, match=r"target_tokens\.bin' is damaged \(its check"):
        verify_corpus(path.parent)
    prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    assert "target_tokens.bin' is damaged" in caplog.text
    assert path.read_bytes() == whole
    assert data.train.num_pairs == 100


def test_what_an_interruption_has_left_is_removed(tmp_path):
    prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    (tmp_path / "corpus" / "train.partial-x1_y").mkdir()
    (tmp_path / "corpus" / "train.partial-x1_y" / "source_tokens.bin").write_bytes(b"1")
    (tmp_path / "config.json.partial-12").write_bytes(b"{")
    mine = tmp_path / "mine.txt.partial-12"
    mine.write_bytes(b"")
    prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    left = [path.name for path in tmp_path.rglob("*partial*")]
    assert left == [mine.name], "the user's own stay"
