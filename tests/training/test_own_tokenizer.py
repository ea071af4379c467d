"""`tokenizer.path`: a vocabulary that is there already, taken into a run."""

import shutil
from pathlib import Path

import pytest
from continued_runs import eight_steps, run
from own_vocabularies import own_vocabulary, size_of
from test_loop import files_in
from tiny_runs import one_layer_config, reversed_pairs

from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import load_tokenizer
from transformer_jax.training.preparation import prepare
from transformer_jax.translation.translator import Translator

PAIRS = reversed_pairs(60)
OWN = own_vocabulary("default")
OTHER = own_vocabulary("all others")
DOUBLE = {"tokenizer__shared": False, "model__share_embeddings": "target"}


def config_of(path, size=None, **changes):
    """Settings that name a vocabulary, with its size."""
    path = [str(each) for each in path] if isinstance(path, list) else str(path)
    named = {"tokenizer__path": path, "model__vocab_size": size or size_of(OWN)}
    return one_layer_config(**{**named, **changes})


@pytest.fixture
def own(tmp_path) -> Path:
    path = tmp_path / "own.model"
    path.write_bytes(OWN)
    return path


@pytest.mark.slow
def test_the_model_is_taken_as_it_is(own, tmp_path):
    data = prepare(config_of(own), tmp_path / "run", train_pairs=PAIRS)
    assert (tmp_path / "run" / "tokenizer.model").read_bytes() == OWN
    assert data.tokenizer.pad_id == data.tokenizer.eos_id == 2
    files = files_in(tmp_path / "run")
    prepare(config_of(own), tmp_path / "run", train_pairs=PAIRS)
    assert files_in(tmp_path / "run") == files
    # One of a work directory without a checkpoint, and of one with several.
    again = prepare(config_of(tmp_path / "run"), tmp_path / "again", train_pairs=PAIRS)
    assert again.tokenizer == data.tokenizer
    trained = eight_steps()[0]
    for name, path in ("a", trained), ("b", trained / "checkpoints" / "8"):
        config = config_of(path, 300)
        found = prepare(config, tmp_path / name, train_pairs=PAIRS).tokenizer
        assert found == load_tokenizer(trained)


def test_one_for_each_language(own, tmp_path):
    other = tmp_path / "other.model"
    other.write_bytes(OTHER)
    sizes = {"size": size_of(OWN), "model__target_vocab_size": size_of(OTHER)}
    config = config_of([own, other], **sizes, **DOUBLE)
    data = prepare(config, tmp_path / "run", train_pairs=PAIRS)
    assert (data.tokenizer.source_eos_id, data.tokenizer.eos_id) == (2, 7)
    sides = [(data.train.source, 2), (data.train.target, 7)]
    assert all(side[index][-1] == end for side, end in sides for index in range(60))
    assert prepare(config, tmp_path / "run", train_pairs=PAIRS).tokenizer == (
        data.tokenizer
    )


REFUSED = {
    "no file": ({"tokenizer__path": "nowhere.model"}, r"there is no .*nowhere\.model"),
    "no model": ({"tokenizer__path": __file__}, "is not a SentencePiece model"),
    "no tokenizer": (
        {"tokenizer__path": str(Path(__file__).parent)},
        "has no tokenizer",
    ),
    "size": ({"model__vocab_size": 300}, r"vocab_size=300 .*: set it to \d\d,"),
    "two": (DOUBLE, r"one vocabulary, .*shared=false is not: .* or name two"),
    "symbols": ({"tokenizer__user_symbols": ("<2de>",)}, "'<2de>' is no user-defined"),
    "kind": ({"tokenizer__kind": "unigram"}, r"tokenizer\.kind='unigram' says how"),
    "sample": ({"tokenizer__max_sentences": 9}, r"max_sentences=9 says how"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_before_the_text_is_read(what, own, tmp_path):
    changes, message = REFUSED[what]
    config = config_of(own, **changes)
    with pytest.raises(InputError, match=rf"^tokenizer\.path='.*{message}") as caught:
        prepare(config, tmp_path / "run")  # Which has no text either.
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", ["", [], ["a", ""], ["a", "b", "c"], ["a", "b"]])
def test_names_that_are_none(path):
    with pytest.raises(InputError, match=r"^tokenizer\.path=.*(must be a|two voc)"):
        config_of(path)


def test_settings_of_learning_may_be_those_of_the_named_run(tmp_path):
    """So that `extends` of its settings needs nothing more."""
    learnt = {"tokenizer__lowercase": True, "tokenizer__max_sentences": 100}
    config = one_layer_config(**learnt)
    first = prepare(config, tmp_path / "first", train_pairs=PAIRS)
    config = config_of(tmp_path / "first", 300, **learnt)
    second = prepare(config, tmp_path / "second", train_pairs=PAIRS)
    assert second.tokenizer == first.tokenizer
    config = config_of(tmp_path / "second", 300, **learnt)
    third = prepare(config, tmp_path / "third", train_pairs=PAIRS)
    assert third.tokenizer == first.tokenizer


def test_none_but_a_learnt_one_gives_way(own, tmp_path, caplog):
    """And none of another path is used, or learnt over, when the path is left out."""
    workdir, other = tmp_path / "run", tmp_path / "other.model"
    other.write_bytes(OTHER)
    prepare(one_layer_config(), workdir, train_pairs=PAIRS)
    prepare(config_of(own), workdir, train_pairs=PAIRS)
    assert "which was learnt, gives way to tokenizer.path=" in caplog.text
    files = files_in(workdir)
    changes = config_of(other, size_of(OTHER)), one_layer_config()
    for config, message in zip(
        changes, ("has another", "which is not set"), strict=True
    ):
        with pytest.raises(InputError, match=message):
            prepare(config, workdir, train_pairs=PAIRS)
        assert files_in(workdir) == files
    # The user's own: put there, or in place of what was put there.
    (workdir / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"has another tokenizer than tokenizer\.path"):
        prepare(changes[0], workdir, train_pairs=PAIRS)
    config = one_layer_config(tokenizer__user_symbols=("<2de>",))
    with pytest.raises(InputError, match="'<2de>' is no user-defined symbol"):
        prepare(config, workdir, train_pairs=PAIRS)
    given, config = load_tokenizer(eight_steps()[0]), one_layer_config()
    with pytest.raises(InputError, match=r"has another tokenizer than tokenizer="):
        prepare(config, workdir, train_pairs=PAIRS, tokenizer=given)
    assert (workdir / "tokenizer.model").read_bytes() == OWN


def test_another_symbol_is_learnt_again(tmp_path, caplog):
    for symbols in ("<2de>",), ("<2de>", "<2fr>"):
        config = one_layer_config(tokenizer__user_symbols=symbols)
        data = prepare(config, tmp_path, train_pairs=PAIRS)
        again = prepare(config, tmp_path, train_pairs=PAIRS)
        assert again.tokenizer == data.tokenizer
    assert caplog.text.count("learning the tokenizer again: ") == 1
    assert "user_symbols: ['<2de>'] -> ['<2de>', '<2fr>']" in caplog.text


@pytest.mark.slow
def test_a_run_has_it_in_its_checkpoints(own, tmp_path, caplog):
    """The file may move, and be gone; another one is refused."""
    workdir, moved = tmp_path / "run", tmp_path / "moved.model"
    changes = {"tokenizer__path": str(own), "model__vocab_size": size_of(OWN)}
    run(workdir, PAIRS, num_steps=1, **changes)
    translator = Translator.from_checkpoint(workdir / "checkpoints" / "1")
    assert translator.tokenizer.source_model == OWN
    shutil.move(own, moved)
    before = files_in(workdir)
    assert prepare(config_of(moved), workdir, train_pairs=PAIRS).tokenizer.bos_id == 1
    # By the name that the run has, it may be gone.
    found = prepare(config_of(own), workdir, train_pairs=PAIRS).tokenizer
    assert found == translator.tokenizer
    assert "The one of the checkpoint is used." in caplog.text
    moved.unlink()
    with pytest.raises(InputError, match=r"there is no .*moved\.model"):
        prepare(config_of(moved), workdir, train_pairs=PAIRS)
    moved.write_bytes(OTHER)
    with pytest.raises(InputError, match=r"not the tokenizer that .* step 1 was tr"):
        prepare(config_of(moved), workdir, train_pairs=PAIRS)
    assert files_in(workdir) == before
    # A new run that begins with it keeps the same rule.
    initial = {"training__initial_checkpoint": str(workdir)}
    tuned = prepare(config_of(own, **initial), tmp_path / "tuned", train_pairs=PAIRS)
    assert tuned.tokenizer == translator.tokenizer
    with pytest.raises(InputError, match=r"is not that of training\.initial_chec"):
        prepare(config_of(moved, **initial), tmp_path / "new", train_pairs=PAIRS)
