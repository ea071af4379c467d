"""A work directory's data are made once, and again only when they would differ."""

import logging
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import reversed_pairs, tiny_config

from transformer_jax.data.prepare import prepare
from transformer_jax.errors import InputError

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


def test_other_pairs_make_another_corpus_of_the_same_tokenizer(tmp_path, caplog):
    first = prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
    with caplog.at_level(logging.INFO):
        second = prepare(tiny_config(), tmp_path, train_pairs=OTHERS)
    assert text_of(second) == OTHERS
    assert second.tokenizer == first.tokenizer
    assert "belongs to another text or tokenizer: making it again" in caplog.text
    changed = [*PAIRS[:59], ("ba ba ba", "be be be")]
    assert text_of(prepare(tiny_config(), tmp_path, train_pairs=changed)) == changed


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


def test_a_tokenizer_of_another_size_is_not_replaced(tmp_path):
    prepare(tiny_config(), tmp_path, train_pairs=PAIRS)
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
