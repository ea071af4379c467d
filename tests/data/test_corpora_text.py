"""The text of several corpora: tags, order, files, pairs from Python, its identity."""

import pytest
from tiny_runs import one_layer_config, reversed_pairs

from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.data import DataConfig
from transformer_jax.data.corpora import settings_of_text
from transformer_jax.data.corpus_files import load_corpus, write_corpus
from transformer_jax.data.prepare import prepare_data
from transformer_jax.data.source import load_pairs
from transformer_jax.errors import InputError
from transformer_jax.evaluation.corpus_text import choose_text
from transformer_jax.tokenizer.tokenizer import train_tokenizer


@pytest.fixture
def files(tmp_path):
    texts = {
        "a.en": "one\n\ntwo\n", "a.de": "eins\nleer\nzwei\n",
        "b.en": "three\n", "b.fr": "trois\n",
        "v.en": "four\n", "v.fr": "quatre\n",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in texts}


def corpora(files, **changes):
    german = CorpusConfig(
        name="de", tag="<2de>",
        train_source_path=files["a.en"], train_target_path=files["a.de"],
    )  # fmt: skip
    french = CorpusConfig(
        name="fr", tag="<2fr>", target_language="fr",
        train_source_path=files["b.en"], train_target_path=files["b.fr"],
        validation_source_path=files["v.en"], validation_target_path=files["v.fr"],
    )  # fmt: skip
    return DataConfig(corpora=(german, french), **changes)


def test_corpora_follow_each_other_with_their_tags(files):
    pairs = load_pairs(corpora(files), "train")
    assert list(pairs) == [
        ("<2de> one", "eins"),
        ("", "leer"),  # An empty source stays empty, and is left out.
        ("<2de> two", "zwei"),
        ("<2fr> three", "trois"),
    ]
    assert pairs.read(2, 4) == list(pairs)[2:]
    assert pairs.corpus_names == ("de", "fr")
    assert list(pairs.in_memory()) == list(pairs)
    assert pairs.in_memory().digest() == pairs.digest()


def test_validation_is_of_the_corpora_that_have_it(files):
    data = corpora(files)
    assert list(load_pairs(data, "validation")) == [("<2fr> four", "quatre")]
    assert load_pairs(data, "validation").corpus_names == ("fr",)
    assert load_pairs(data, "test") is None


def test_a_text_for_all_corpora_has_its_tags_itself(files):
    paths = {"test_source_path": files["b.en"], "test_target_path": files["b.fr"]}
    assert list(load_pairs(corpora(files, **paths), "test")) == [("three", "trois")]


def test_a_missing_file_is_told_with_the_table(files):
    french = CorpusConfig(train_source_path="no.en", train_target_path="no.fr")
    data = DataConfig(corpora=(corpora(files).corpora[0], french))
    with pytest.raises(InputError, match=r"data\.corpora\[1\]\.train_source_path, "):
        load_pairs(data, "train")
    data = DataConfig(corpora=(*corpora(files).corpora, CorpusConfig(name="it")))
    with pytest.raises(InputError, match=r"data\.corpora\[2\] names no training pairs"):
        load_pairs(data, "train")


def test_each_corpus_has_its_own_languages(files):
    data = corpora(files)
    french = settings_of_text(data, "fr")
    assert (french.source_language, french.target_language) == ("en", "fr")
    assert settings_of_text(data, "de").target_language == "de"
    assert french.corpora == ()


def test_what_is_scored_is_one_corpus(files):
    config = one_layer_config().replace(data=corpora(files))
    settings, pairs = choose_text(config, "validation", None, "fr")
    assert list(pairs) == [("<2fr> four", "quatre")]
    assert settings.data.target_language == "fr"
    _, given = choose_text(config, "test", [("six", "sechs")], "de")
    assert list(given) == [("<2de> six", "sechs")]
    _, given = choose_text(config, "test", [("six", "sechs")], None)
    assert list(given) == [("six", "sechs")]
    with pytest.raises(InputError, match=r"corpus='it' must be one of .* de, fr"):
        choose_text(config, "test", None, "it")
    with pytest.raises(InputError, match=r"say which to score, corpus=de or corpus=fr"):
        choose_text(config, "test", None, None)
    with pytest.raises(InputError, match=r"'de' has no val.*corpora\[0\].validation_s"):
        choose_text(config, "validation", None, "de")
    with pytest.raises(InputError, match=r"no data\.corpora"):
        choose_text(one_layer_config(), "test", None, "de")


PAIRS = {"a": reversed_pairs(40), "b": [*reversed_pairs(20, seed=1), ("", "ba")]}


def python_config(*corpora):
    corpora = corpora or (CorpusConfig(name="a", tag="ka"), CorpusConfig(name="b"))
    return one_layer_config(data__corpora=corpora)


def test_pairs_from_python_come_by_name(tmp_path):
    data = prepare_data(python_config(), tmp_path, train_pairs=PAIRS)
    assert data.train.corpus_sizes == (40, 20)
    assert data.train.num_empty == 1
    sources = data.tokenizer.decode_source(list(map(data.train.source.__getitem__,
                                                    range(60))))  # fmt: skip
    expected = [f"ka {s}" for s, _ in PAIRS["a"]] + [s for s, _ in PAIRS["b"][:20]]
    assert sources == expected
    again = load_corpus(tmp_path / "corpus" / "train")
    assert again.corpus_sizes == (40, 20)
    first, second = again.separate()
    assert (first.num_pairs, second.num_pairs) == (40, 20)
    assert second.target[3].tolist() == again.target[43].tolist()


REFUSED = {
    "a list": (PAIRS["a"], "train_pairs must be a dictionary, pairs by the names"),
    "one is missing": ({"a": PAIRS["a"]}, "train_pairs has the names ['a'], but"),
    "another name": ({**PAIRS, "c": PAIRS["a"]}, "has the names ['a', 'b', 'c'], but"),
    "none": ({}, "train_pairs has the names [], but"),
    "no pairs": ({**PAIRS, "b": [3]}, "pair 0 of train_pairs['b'] is 3"),
    "nothing in one": ({**PAIRS, "b": [("", "x")]}, "no pair of train_pairs['b'] can"),
}


@pytest.mark.parametrize(("pairs", "message"), REFUSED.values(), ids=REFUSED)
def test_pairs_from_python_that_do_not_fit(tmp_path, pairs, message):
    with pytest.raises(InputError) as told:
        prepare_data(python_config(), tmp_path / "new", train_pairs=pairs)
    assert message in str(told.value)
    assert not (tmp_path / "new").exists()


def test_a_dictionary_needs_corpora(tmp_path):
    with pytest.raises(InputError, match=r"data\.corpora has \[\]"):
        prepare_data(one_layer_config(), tmp_path, train_pairs=PAIRS)


def test_text_tags_and_borders_are_what_identifies_it(files, tmp_path):
    """What makes other rows is another text; weights and names are not."""
    lines = (
        ["one\n", "\n", "two\n", "three\n"],
        ["eins\n", "leer\n", "zwei\n", "trois\n"],
    )
    for name, part in {"whole": slice(4), "c": slice(1), "d": slice(1, 4)}.items():
        for side, text in zip(("en", "de"), lines, strict=True):
            (tmp_path / f"{name}.{side}").write_text("".join(text[part]))

    def digest(*tables):
        return load_pairs(DataConfig(corpora=tables), "train").digest()

    def table(part, side="de", **changes):
        paths = {
            "train_source_path": str(tmp_path / f"{part}.en"),
            "train_target_path": str(tmp_path / f"{part}.{side}"),
        }
        return CorpusConfig(**paths, **changes)

    a, b, whole = table("a"), table("b", "fr"), table("whole")
    digests = [
        digest(a, b), digest(b, a), digest(whole), digest(a, whole),
        digest(table("c"), table("d")),
        digest(table("a", tag="x"), b), digest(a, table("b", "fr", tag="x")),
    ]  # fmt: skip
    assert len(set(digests)) == len(digests)
    named = table("a", weight=2, name="n"), table("b", "fr", weight=1)
    assert digest(*named) == digest(a, b)
    # A single table without a tag is the text alone: its run can be continued so.
    alone = load_pairs(
        DataConfig(
            train_source_path=whole.train_source_path,
            train_target_path=whole.train_target_path,
        ),
        "train",
    )
    assert digest(whole) == alone.digest()


def test_a_damaged_border_is_noticed(tmp_path):
    config = python_config()
    data = prepare_data(config, tmp_path / "run", train_pairs=PAIRS)
    manifest = tmp_path / "run" / "corpus" / "train" / "manifest.json"
    text = manifest.read_text()
    assert '"corpus_sizes"' in text
    manifest.write_text(text.replace("40,\n", "41,\n"))
    with pytest.raises(InputError, match=r"manifest\.json' is damaged"):
        load_corpus(manifest.parent)
    assert data.train.num_pairs == 60


def test_one_text_has_no_borders(tmp_path):
    pairs = load_pairs_of_one()
    config = one_layer_config()
    tokenizer = train_tokenizer(pairs, config.tokenizer, config.model)
    corpus = write_corpus(pairs, tokenizer, tmp_path / "one")
    assert corpus.corpus_sizes == ()
    assert "corpus_sizes" not in (tmp_path / "one" / "manifest.json").read_text()


def load_pairs_of_one():
    from transformer_jax.data.sentence_pairs import from_list

    return from_list(PAIRS["a"])
