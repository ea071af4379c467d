"""The built-in corpus: right, unambiguous, reproducible, split without leaks."""

import os
import re
import subprocess
import sys
from datetime import datetime
from itertools import islice

import pytest

from transformer_jax.cldr_corpus.builder import make_splits
from transformer_jax.cldr_corpus.phrases import Phrasebook
from transformer_jax.cldr_corpus.vocabulary import finish

TARGETS = ("de", "fr", "es")


@pytest.fixture(
    scope="module",
    params=[
        "de",
        *(pytest.param(name, marks=pytest.mark.long) for name in TARGETS[1:]),
    ],
)
def target(request):
    return request.param


@pytest.fixture(scope="module")
def splits(target):
    return make_splits("en", target, num_phrases=12_000, num_held_out=500)


@pytest.fixture(scope="module")
def stream(target):
    """Pairs as drawn, before any is left out."""
    book = Phrasebook("en", target, seed=1)
    return [*book.lexicon(), *islice(book.phrases(), 40_000)]


KNOWN_WORDS = {
    "Germany": ("Deutschland", "Allemagne", "Alemania"),
    "French": ("Französisch", "français", "francés"),
    "1 hour": ("1 Stunde", "1 heure", "1 hora"),
    "2 days": ("2 Tage", "2 jours", "2 días"),
    "1 euro": ("1 Euro", "1 euro", "1 euro"),
    "2 Swiss francs": ("2 Schweizer Franken", "2 francs suisses", "2 francos suizos"),
}
KNOWN_RULES = {
    r"September (\d\d), (\d+)": (
        r"\1. September \2", r"\1 septembre \2", r"\1 de septiembre de \2",
    ),
    r"(\d):(\d\d) \u2013 (\d):(\d\d) AM": (
        "0\\1:\\2\u20130\\3:\\4 Uhr",
        "0\\1:\\2 \u2013 0\\3:\\4",
        "\\1:\\2\u2013\\3:\\4",
    ),
    r"in (\d\d) weeks": (r"in \1 Wochen", r"dans \1 semaines", r"dentro de \1 semanas"),
    r"(\d\d) days ago": (r"vor \1 Tagen", r"il y a \1 jours", r"hace \1 días"),
    r"€(\d+)\.(\d\d)": (r"\1,\2 €", r"\1,\2 €", r"\1,\2 €"),
    r"(\d+)\.(\d)%": (r"\1,\2 %", r"\1,\2 %", r"\1,\2 %"),
    r"(\d+) billion": (r"\1 Milliarden", r"\1 milliards", r"\1 mil millones"),
    r"(\d\d) meters per day": (
        r"\1 Meter pro Tag", r"\1 mètres par jour", r"\1 metros por día",
    ),
    r"(\d),(\d{3}) grams": (r"\1.\2 Gramm", r"\1 \2 grammes", r"\1\2 gramos"),
    r"(\d\d) minutes and (\d\d) seconds": (
        r"\1 Minuten und \2 Sekunden", r"\1 minutes et \2 secondes",
        r"\1 minutos y \2 segundos",
    ),
}  # fmt: skip


def test_the_lexicon_translates_known_words(stream, target):
    translations = dict(stream)
    for word, known in KNOWN_WORDS.items():
        assert translations[word] == known[TARGETS.index(target)]


@pytest.mark.parametrize("rule", KNOWN_RULES)
def test_phrases_follow_the_known_rules_of_the_target(stream, target, rule):
    template = KNOWN_RULES[rule][TARGETS.index(target)]
    found = [
        (match.expand(template), translation)
        for source, translation in stream
        if (match := re.fullmatch(rule, source))
    ]
    assert found
    for expected, translation in found:
        assert translation == expected


def test_short_dates_and_times_mean_the_same_in_both_languages(stream, target):
    short_date = {
        "de": "%d.%m.%y, %H:%M",
        "fr": "%d/%m/%Y %H:%M",
        "es": "%d/%m/%y, %H:%M",
    }
    num_moments = num_times = 0
    for source, translation in stream:
        if re.fullmatch(r"\d+/\d+/\d+, \d+:\d+ [AP]M", source):
            num_moments += 1
            meaning = datetime.strptime(source, "%m/%d/%y, %I:%M %p")
            assert meaning == datetime.strptime(translation, short_date[target]), source
        if re.fullmatch(r"\d+:\d+ [AP]M", source):
            num_times += 1
            meaning = datetime.strptime(source, "%I:%M %p")
            assert meaning == datetime.strptime(translation, "%H:%M"), source
    assert num_moments > 100
    assert num_times > 100


def test_no_sentence_has_two_translations_in_either_direction(stream):
    for pairs in (stream, [(target, source) for source, target in stream]):
        translations = {}
        for source, translation in pairs:
            assert translations.setdefault(source, translation) == translation


def test_only_plain_spaces(stream):
    for pair in stream:
        for text in pair:
            assert not re.search(r"[^\S ]|  |^ | $", text), text


@pytest.mark.parametrize(
    ("language", "babel", "expected"),
    [
        ("es", "España y Italia", "España e Italia"),
        ("es", "Chad y Hierro", "Chad y Hierro"),
        ("es", "árabe y hindi", "árabe e hindi"),
        ("es", "1 día o 8 horas", "1 día u 8 horas"),
        ("es", "1 día o 11 horas", "1 día u 11 horas"),
        ("es", "1 día o 110 horas", "1 día o 110 horas"),
        ("es", "Perú o Omán", "Perú u Omán"),
        ("es", "1.234,5 metros y 12.345 litros", "1234,5 metros y 12.345 litros"),
        ("fr", "12\u202f345\u00a0km", "12 345 km"),
        ("fr", "1 mars 2014", "1er mars 2014"),
        ("fr", "lundi 1 janvier ou 21 janvier", "lundi 1er janvier ou 21 janvier"),
        ("fr", "1\u201321 oct. 2014", "1er\u201321 oct. 2014"),
        ("fr", "1 mois", "1 mois"),
        ("de", "1. März und Italien", "1. März und Italien"),
    ],
)
def test_finish_applies_the_rules_of_each_language(language, babel, expected):
    assert finish(babel, language) == expected


def test_splits_share_no_sentence(splits):
    assert {name: len(pairs) for name, pairs in splits.items() if name != "train"} == {
        "validation": 500,
        "test": 500,
    }
    pairs = [pair for split in splits.values() for pair in split]
    for side in zip(*pairs, strict=True):
        assert len(set(side)) == len(pairs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "language",
    ["de", *(pytest.param(name, marks=pytest.mark.long) for name in TARGETS[1:])],
)
def test_the_whole_corpus_has_its_size(language):
    sizes = {split: len(pairs) for split, pairs in make_splits("en", language).items()}
    assert sizes["train"] > 100_000
    assert sizes["validation"] == sizes["test"] == 1_500


def test_training_has_every_word_of_the_test(splits):
    def words(pairs, side):
        return {word for pair in pairs for word in re.findall(r"[^\W\d_]+", pair[side])}

    for side in (0, 1):
        assert words(splits["test"], side) <= words(splits["train"], side)


def test_the_corpus_is_the_same_in_every_process():
    program = (
        "import sys, hashlib\n"
        "from itertools import islice\n"
        "from transformer_jax.cldr_corpus.phrases import Phrasebook\n"
        # Babel shares data between the locales it has loaded.
        "for other in sys.argv[1:]:\n"
        "    list(islice(Phrasebook('en', other, 0).phrases(), 99))\n"
        "pairs = list(islice(Phrasebook('en', 'es', 0).phrases(), 2000))\n"
        "print(hashlib.sha256(repr(pairs).encode()).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, *others],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed, others in (("1", []), ("2", ["de", "fr"]))
    }
    assert len(digests) == 1


def test_another_seed_draws_other_phrases():
    first, second = (
        set(islice(Phrasebook("en", "de", seed).phrases(), 100)) for seed in (0, 1)
    )
    assert len(first & second) < 30
