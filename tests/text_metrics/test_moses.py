"""Moses tokens are those of the Perl programs."""

import pytest
from wmt17 import DATA, read_lines

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.moses import MosesRules, moses_tokenize

MULTI30K = DATA / "multi30k"


@pytest.mark.skipif(not MULTI30K.exists(), reason="Multi30k is not on this machine")
@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_multi30k_lines_are_tokenised_as_published(language):
    lines = read_lines(MULTI30K / f"test_2016_flickr.{language}")
    published = read_lines(MULTI30K / f"tok/test_2016_flickr.lc.norm.tok.{language}")
    lowercase = [line.lower() for line in lines]
    assert moses_tokenize(lowercase, MosesRules(language=language)) == published


# What tokenizer.perl printed, of the version before November 2018, after
# replace-unicode-punctuation.perl and normalize-punctuation.perl.
@pytest.mark.parametrize(
    ("language", "punctuation", "line", "tokens"),
    [
        (
            "de",
            "unicode",
            "Er hat $9,5 Mio. erhalten, d.h. „so“ viel, usw.",
            "Er hat $ 9,5 Mio. erhalten , d.h. „ so &quot; viel , usw.",
        ),
        ("fr", "moses", "d\u2019un coup d\u2019œil", "d&apos; un coup d &quot; œil"),
        ("en", "moses", "the electors\u2019 list", "the electors &quot; list"),
    ],
)
def test_lines_are_those_of_the_perl_programs(language, punctuation, line, tokens):
    rules = MosesRules(language=language, punctuation=punctuation)
    assert moses_tokenize([line], rules) == [tokens]


def test_moses_keeps_hyphens_and_compounds_are_split_at_them():
    # `Nord-` has nothing after its hyphen; in `a-b-c` the first match takes the b.
    line = ["„Ein“ U-Boot, Nord- und Ostsee, a-b-c."]
    assert moses_tokenize(line, MosesRules(language="de", punctuation=None)) == [
        "„ Ein “ U-Boot , Nord- und Ostsee , a-b-c ."
    ]
    rules = MosesRules(language="de", punctuation="unicode", split_compounds=True)
    assert moses_tokenize(line, rules) == [
        "„ Ein &quot; U ##AT##-##AT## Boot , Nord- und Ostsee , a ##AT##-##AT## b-c ."
    ]


def test_an_unknown_language_is_not_taken_for_english():
    with pytest.raises(InputError, match="language='xx' has no Moses tokens: use one"):
        moses_tokenize(["a"], MosesRules(language="xx"))
