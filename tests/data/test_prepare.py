"""A work directory's data are made once, and again only when they would differ."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import reversed_pairs, tiny_config

from transformer_jax.data.sentence_pairs import from_files, from_list
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.training.preparation import prepare

PAIRS = reversed_pairs(60)
OTHERS = reversed_pairs(60, seed=1)


def files_of(workdir: Path) -> dict:
    return {
        path.relative_to(workdir): path.stat().st_mtime_ns
        for path in workdir.rglob("*")
        if path.is_file()
    }


def text_of(data) -> list:
    corpus, tokenizer = data.train, data.tokenizer
    sides = (corpus.source, corpus.target)
    each = [[side[i] for i in range(corpus.num_pairs)] for side in sides]
    return list(zip(*map(tokenizer.decode_target, each), strict=True))


def test_the_corpus_holds_the_pairs(tmp_path):
    data = prepare(tiny_config(), tmp_path, train_pairs=PAIRS, validation_pairs=OTHERS)
    assert text_of(data) == PAIRS
    assert data.validation.num_pairs == 60
    assert list(data.validation_pairs) == OTHERS


def test_a_second_time_nothing_is_made(tmp_path):
    settings = {"train_pairs": PAIRS, "validation_pairs": OTHERS}
    first = prepare(tiny_config(), tmp_path, **settings)
    files = files_of(tmp_path)
    second = prepare(tiny_config(), tmp_path, **settings)
    assert files_of(tmp_path) == files
    assert second.tokenizer == first.tokenizer
    np.testing.assert_array_equal(second.train.source.tokens, first.train.source.tokens)


def test_another_text_makes_tokenizer_and_corpus_again(tmp_path, caplog):
    prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    with caplog.at_level(logging.INFO):
        second = prepare(tiny_config(), tmp_path, train_pairs=OTHERS)
    assert "the tokenizer again: the training text is another" in caplog.text
    assert "belongs to another text or tokenizer: making it again" in caplog.text
    assert text_of(second) == OTHERS
    fresh = prepare(tiny_config(), tmp_path / "fresh", train_pairs=OTHERS)
    assert second.tokenizer == fresh.tokenizer


def test_every_line_of_the_text_counts(tmp_path):
    """Also those between a thousand evenly spaced ones."""
    pairs = reversed_pairs(4_000)
    prepare(tiny_config(), tmp_path, train_pairs=pairs)
    changed = [
        (source, target if i % 4 == 0 else source)
        for i, (source, target) in enumerate(pairs)
    ]
    assert text_of(prepare(tiny_config(), tmp_path, train_pairs=changed)) == changed
    one = [*changed[:2_001], ("ba ba ba", "be be be"), *changed[2_002:]]
    assert text_of(prepare(tiny_config(), tmp_path, train_pairs=one)) == one
    # Not even where the line ends may be anywhere.
    moved = [("ba be", "bi"), ("ba", "be bi")]
    texts = [from_list([(s.replace(" ", ""), t)]).digest() for s, t in moved]
    assert len(set(texts)) == 2


@pytest.mark.parametrize(
    ("setting", "value"),
    [("kind", "unigram"), ("lowercase", True), ("character_coverage", 1.0)],
)
def test_other_settings_learn_the_tokenizer_again(setting, value, tmp_path, caplog):
    pairs = [(source.capitalize(), target) for source, target in PAIRS]
    prepare(tiny_config(), tmp_path, train_pairs=pairs)
    config = tiny_config(**{f"tokenizer__{setting}": value})
    again = prepare(config, tmp_path, train_pairs=pairs)
    assert f"tokenizer.{setting}: " in caplog.text
    fresh = prepare(config, tmp_path / "fresh", train_pairs=pairs)
    assert again.tokenizer == fresh.tokenizer


def test_a_wrong_text_put_right_leaves_nothing_of_it(tmp_path):
    with pytest.raises(InputError, match="all 60 have an empty"):
        prepare(
            tiny_config(), tmp_path / "run", train_pairs=[(s, "") for s, _ in PAIRS]
        )
    mended = prepare(tiny_config(), tmp_path / "run", train_pairs=PAIRS)
    fresh = prepare(tiny_config(), tmp_path / "fresh", train_pairs=PAIRS)
    assert mended.tokenizer == fresh.tokenizer


def test_an_interruption_between_record_and_tokenizer_is_noticed(tmp_path, monkeypatch):
    prepare(tiny_config(), tmp_path / "run", train_pairs=PAIRS)
    with monkeypatch.context() as patch:
        patch.setattr(Tokenizer, "save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(tiny_config(), tmp_path / "run", train_pairs=OTHERS)
    fresh = prepare(tiny_config(), tmp_path / "fresh", train_pairs=OTHERS)
    again = prepare(tiny_config(), tmp_path / "run", train_pairs=OTHERS)
    assert again.tokenizer == fresh.tokenizer


def test_a_tokenizer_put_in_place_of_a_learnt_one_is_not_overwritten(tmp_path):
    prepare(tiny_config(), tmp_path / "run", train_pairs=PAIRS)
    own = prepare(tiny_config(), tmp_path / "own", train_pairs=OTHERS).tokenizer
    shutil.copy(tmp_path / "own" / "tokenizer.model", tmp_path / "run")
    files = files_of(tmp_path / "run")
    with pytest.raises(InputError, match="is not the one that was learnt there"):
        prepare(tiny_config(), tmp_path / "run", train_pairs=PAIRS)
    assert files_of(tmp_path / "run") == files
    (tmp_path / "run" / "tokenizer.json").unlink()
    assert prepare(tiny_config(), tmp_path / "run", train_pairs=PAIRS).tokenizer == own


def test_a_damaged_tokenizer_is_learnt_again_where_it_was_learnt_here(tmp_path):
    first = prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    model = tmp_path / "tokenizer.model"
    model.write_bytes(model.read_bytes()[:1_000])
    assert prepare(tiny_config(), tmp_path, train_pairs=PAIRS).tokenizer == (
        first.tokenizer
    )
    # One that its user has brought is not replaced.
    model.write_bytes(model.read_bytes()[:1_000])
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.model' is not a SentencePiece"):
        prepare(tiny_config(), tmp_path, train_pairs=PAIRS)


def test_a_damaged_corpus_is_made_again(tmp_path, caplog):
    first = prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    expected = np.array(first.train.source.tokens)
    for name in ("manifest.json", "source_tokens.bin", "target_offsets.bin"):
        path = tmp_path / "corpus" / "train" / name
        path.write_bytes(path.read_bytes()[:-7])
        again = prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
        assert name in caplog.text
        np.testing.assert_array_equal(again.train.source.tokens, expected)


def test_validation_references_stay_whatever_becomes_of_their_files(tmp_path):
    """A file that shrinks must not kill the run; one that changes changes nothing."""
    paths = {}
    for split, pairs in (("train", PAIRS), ("validation", OTHERS)):
        for side, column in (("source", 0), ("target", 1)):
            path = tmp_path / f"{split}.{side}"
            path.write_text("".join(f"{pair[column]}\n" for pair in pairs))
            paths[f"data__{split}_{side}_path"] = str(path)
    data = prepare(tiny_config(**paths), tmp_path / "run")
    for side in ("source", "target"):
        with (tmp_path / f"validation.{side}").open("r+") as file:
            file.truncate(5)
    assert list(data.validation_pairs) == OTHERS
    # Training text that changes while it is read is an error, not another text.
    pairs = from_files(tmp_path / "train.source", tmp_path / "train.target")
    with (tmp_path / "train.target").open("r+") as file:
        file.truncate(5)
    with pytest.raises(InputError, match=r"train\.target has changed while"):
        pairs.digest()


def test_the_vocabulary_is_learnt_from_the_training_text_alone(tmp_path):
    validation = [("zyx zyx zyx", "wvq wvq")] * 50
    data = prepare(
        tiny_config(), tmp_path, train_pairs=PAIRS, validation_pairs=validation
    )
    pieces = data.tokenizer.source_pieces(range(data.tokenizer.source_vocab_size))
    assert not any("z" in piece or "q" in piece for piece in pieces)
    (ids,) = data.tokenizer.encode_source(["zyx"])
    assert data.tokenizer.decode_target([ids]) == ["zyx"]


def test_pairs_from_python_have_no_validation_but_their_own(tmp_path):
    """A validation split of the configuration belongs to other training pairs."""
    paths = {
        f"data__validation_{side}_path": str(tmp_path / side)
        for side in ("source", "target")
    }
    (tmp_path / "source").write_text("ba\n")
    (tmp_path / "target").write_text("be\n")
    config = tiny_config()
    config = config.replace(
        data=type(config.data)(
            source_length=24,
            target_length=24,
            batch_tokens=8 * 24,
            **{name.removeprefix("data__"): path for name, path in paths.items()},
        )
    )
    data = prepare(config, tmp_path / "run", train_pairs=PAIRS)
    assert (data.validation, data.validation_pairs) == (None, None)


def test_files_named_by_the_settings_are_read(tmp_path):
    for split, pairs in (("train", PAIRS), ("validation", OTHERS)):
        for side, column in (("source", 0), ("target", 1)):
            text = "".join(f"{pair[column]}\n" for pair in pairs)
            (tmp_path / f"{split}.{side}").write_text(text)
    config = tiny_config()
    paths = {
        f"{split}_{side}_path": str(tmp_path / f"{split}.{side}")
        for split in ("train", "validation")
        for side in ("source", "target")
    }
    config = config.replace(data=type(config.data)(source_length=24, **paths))
    data = prepare(config, tmp_path / "run")
    assert text_of(data) == PAIRS
    assert list(data.validation_pairs) == OTHERS
    assert (tmp_path / "run" / "tokenizer.model").exists()


def test_the_tokenizer_of_a_user_is_not_replaced(tmp_path):
    prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    (tmp_path / "tokenizer.json").unlink()
    files = files_of(tmp_path)
    with pytest.raises(InputError, match=r"model\.vocab_size=299 .* has 300"):
        prepare(tiny_config(model__vocab_size=299), tmp_path, train_pairs=PAIRS)
    assert files_of(tmp_path) == files


def test_without_training_data_nothing_is_made(tmp_path):
    with pytest.raises(InputError, match=r"data\.dataset and data\.train_source_path"):
        prepare(tiny_config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="train pairs are empty"):
        prepare(tiny_config(), tmp_path / "run", train_pairs=[])
    assert not (tmp_path / "run").exists()


def test_a_text_that_is_refused_leaves_no_directory(tmp_path):
    config = tiny_config(model__vocab_size=5_000)
    with pytest.raises(InputError, match="more than the training text supports"):
        prepare(config, tmp_path / "run", train_pairs=PAIRS)
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="more than the training text supports"):
        prepare(config, tmp_path / "mine", train_pairs=PAIRS)
    assert (tmp_path / "mine").is_dir()  # It was there before.
