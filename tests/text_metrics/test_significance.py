"""The paired bootstrap against sacreBLEU's, and against one that counts by itself."""

import collections

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest
from wmt17 import LMU, UEDIN, needs_wmt17, read_system

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.protocols import make_protocol, prepare_text
from transformer_jax.text_metrics.quality import translation_quality
from transformer_jax.text_metrics.significance import paired_bootstrap

WORDS = [
    "das", "ein", "Haus", "Auto", "Kind", "See", "am", "im", "fährt", "steht", "spielt",
    "klein", "rot", "und", "nicht",
]  # fmt: skip


def make_texts(number):
    """Sentences of words, and two copies in which every sixth word is another."""
    rng = np.random.default_rng(1)
    references = [rng.choice(WORDS, rng.integers(5, 15)) for _ in range(number)]

    def translate(words):
        changed = rng.random(len(words)) < 1 / 6
        return " ".join(np.where(changed, rng.choice(WORDS, len(words)), words))

    systems = [[translate(words) for words in references] for _ in range(2)]
    return [*systems, [" ".join(words) for words in references]]


@pytest.fixture(
    scope="module", params=["made up", pytest.param("wmt17", marks=needs_wmt17)]
)
def texts(request):
    """Translations by two systems of about one strength, and the references."""
    if request.param == "made up":
        return make_texts(60)
    return [read_system(name)[:250] for name in (UEDIN, LMU, "ref0.de")]


def compare(metric, texts, **settings):
    system, baseline, reference = texts
    return paired_bootstrap(metric, system, baseline, [reference], **settings)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [BLEU(), CHRF(), TER()], ids=["bleu", "chrf", "ter"])
def test_p_values_are_those_of_sacrebleu(texts, metric, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "3")
    system, baseline, reference = texts
    theirs = PairedTest(
        [("baseline", baseline), ("system", system)],
        {"metric": metric}, [reference], test_type="bs", n_samples=150,
    )()[1]  # fmt: skip
    expected = next(results for name, results in theirs.items() if name != "System")
    found = compare(metric, texts, resamples=150, seed=3)
    assert found.baseline == pytest.approx(expected[0].score)
    assert found.score == pytest.approx(expected[1].score)
    assert found.p_value == pytest.approx(expected[1].p_value)
    assert 0.01 < found.p_value < 1  # A bound that every difference has is no test.


def counts_of(hypothesis, reference):
    """Length of both, then matches and number of n-grams of 1 to 4 tokens."""
    hypothesis, reference = hypothesis.split(), reference.split()
    found = [len(hypothesis), len(reference)]
    for n in range(1, 5):
        grams, wanted = (
            collections.Counter(
                tuple(side[i : i + n]) for i in range(len(side) - n + 1)
            )
            for side in (hypothesis, reference)
        )
        found += [(grams & wanted).total(), grams.total()]
    return found


@pytest.mark.slow
def test_comparison_by_the_paper_protocol_counted_anew(texts):
    protocol = make_protocol("paper-en-de")
    system, baseline, reference = (prepare_text(side, protocol) for side in texts)
    counts = np.array(
        [
            [counts_of(*pair) for pair in zip(side, reference, strict=True)]
            for side in (system, baseline)
        ]
    )

    def bleu(sums):
        precisions = sums[..., 2::2] / sums[..., 3::2]
        penalty = np.minimum(0, 1 - sums[..., 1] / sums[..., 0])
        return 100 * np.exp(penalty + np.log(precisions).mean(axis=-1))

    number = len(system)
    rows = np.random.default_rng(7).integers(number, size=(200, number))
    differences = np.subtract(*bleu(counts[:, rows].sum(axis=2)))
    score, other = bleu(counts.sum(axis=1))

    quality = translation_quality(
        texts[0], [texts[2]],
        protocol="paper-en-de", baseline=texts[1], resamples=200, seed=7,
    )  # fmt: skip
    found = quality.comparison["bleu"]
    assert found.score == pytest.approx(score)
    assert found.score == pytest.approx(quality.bleu)
    assert found.baseline == pytest.approx(other)
    assert found.difference == pytest.approx(score - other)
    assert found.interval == pytest.approx(np.quantile(differences, [0.025, 0.975]))
    assert quality.comparison.keys() == {"bleu", "chrf", "chrf_plus_plus", "ter"}
    for metric in ("chrf", "chrf_plus_plus", "ter"):
        assert quality.comparison[metric].score == getattr(quality, metric)


def test_the_other_way_round_the_difference_is_the_opposite(texts):
    system, baseline, reference = texts
    found = compare(BLEU(), texts, resamples=100)
    opposite = compare(BLEU(), (baseline, system, reference), resamples=100)
    assert opposite.difference == -found.difference
    assert opposite.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert opposite.p_value == found.p_value


def test_a_seed_gives_one_result(texts):
    assert compare(BLEU(), texts, resamples=50) == compare(BLEU(), texts, resamples=50)
    of_seeds = {
        compare(BLEU(), texts, resamples=50, seed=seed).interval for seed in (0, 0, 1)
    }
    assert len(of_seeds) == 2


def test_a_system_does_not_differ_from_itself():
    text = ["das ist ein kleines Haus", "ein Auto fährt am See vorbei"]
    found = compare(BLEU(), (text, text, text), resamples=20)
    assert (found.difference, found.interval, found.p_value) == (0, (0, 0), 1)


def test_there_is_at_least_one_resample():
    with pytest.raises(InputError, match="resamples=0 must be at least 1"):
        compare(BLEU(), (["a"], ["a"], ["a"]), resamples=0)
