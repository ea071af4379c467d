"""A score is the model's probability of those very tokens, whatever else is scored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.model.transformer import Transformer
from transformer_jax.scoring.gold_log_probs import gold_log_probs
from transformer_jax.scoring.scores import score, score_tokens
from transformer_jax.translation.translator import Translator

# Of one to 20 words, so of several widths; with empty sides and odd lengths.
PAIRS = [
    *reversed_pairs(20, seed=3, longest=20),
    ("", "ba be"),
    ("ba", ""),
    ("bo bu", " ".join(["do"] * 40)),
]
SOURCES, TARGETS = map(list, zip(*PAIRS, strict=True))


@pytest.fixture(scope="module")
def trained() -> Translator:
    return trained_run().result.translator


@pytest.fixture(scope="module")
def random(trained, random_params) -> Translator:
    """A model that has learnt nothing, least of all when to end."""
    config = trained.config
    return Translator(config, random_params(config.model), trained.tokenizer)


@pytest.fixture(scope="module")
def both(trained, random) -> Translator:
    return Translator(
        trained.config, trained.params, trained.tokenizer, others=random.models
    )


@pytest.fixture(scope="module")
def reference(trained):
    """`(params, source ids, target ids) -> log-probabilities`, float64, of one pair."""
    model = Transformer(trained.config.model)

    @jax.jit
    def logits(params, source, segments, inputs):
        def run(model):
            hidden = model(source, inputs, source_segments=segments, deterministic=True)
            return model.logits(hidden)

        return model.apply({"params": params}, method=run)

    def log_probs(params, source, target):
        padded = np.zeros((3, 1, 64), np.int32)
        padded[0, 0, : len(source)] = source
        padded[1, 0, : len(source)] = 1
        padded[2, 0, : len(target)] = [trained.tokenizer.bos_id, *target[:-1]]
        found = logits(jax.device_get(params), *map(jnp.asarray, padded))
        found = np.asarray(found, np.float64)[0, : len(target)]
        log_p = found - np.log(np.exp(found).sum(axis=-1, keepdims=True))
        return log_p[np.arange(len(target)), target]

    return log_probs


def tokens(translator, sources, targets):
    tokenizer = translator.tokenizer
    return tokenizer.encode_source(sources), tokenizer.encode_target(targets)


def totals(scores) -> np.ndarray:
    return np.array([found.log_prob for found in scores])


@pytest.mark.parametrize("name", ["trained", "random"])
def test_scores_are_those_of_each_pair_alone(name, trained, random, reference):
    translator = {"trained": trained, "random": random}[name]
    for found, source, target in zip(
        score(translator, SOURCES, TARGETS),
        *tokens(translator, SOURCES, TARGETS),
        strict=True,
    ):
        expected = reference(translator.params, source, target)
        np.testing.assert_allclose(found.token_log_probs, expected, atol=1e-4)
        assert found.log_prob == pytest.approx(expected.sum(), abs=1e-4)
        # Equation (14) of Wu et al. (2016), as section 6.1 of the paper takes it.
        penalty = ((5 + len(target)) / 6) ** 0.6
        assert found.score == pytest.approx(expected.sum() / penalty, abs=1e-4)
        assert found.num_tokens == len(target) == len(found.pieces)
        assert found.pieces[-1] == "</s>"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "decoding"),
    [
        ("random", {"length_penalty": "length"}),
        pytest.param("both", {"coverage_penalty": 0.3}, marks=pytest.mark.long),
        ("trained", {}),
        pytest.param("trained", {"coverage_penalty": 0.3}, marks=pytest.mark.long),
    ],
)
def test_scoring_what_a_beam_found_gives_the_beam_s_score(name, decoding, request):
    translator = request.getfixturevalue(name)
    tokenizer = translator.tokenizer
    pieces = tokenizer.target_pieces(range(tokenizer.target_vocab_size))
    ids = {piece: index for index, piece in enumerate(pieces)}
    sources = tokenizer.encode_source(SOURCES[:6])
    lists = translator.n_best(SOURCES[:6], 4, **decoding)
    found = [
        (source, hypothesis)
        for source, hypotheses in zip(sources, lists, strict=True)
        for hypothesis in hypotheses
    ]
    if name == "random":
        assert not all(each.is_finished for _, each in found), "some never end"
    again = score_tokens(
        translator,
        [source for source, _ in found],
        [[ids[piece] for piece in each.pieces] for _, each in found],
        **decoding,
    )
    np.testing.assert_allclose(
        [each.score for each in again], [each.score for _, each in found], rtol=1e-4
    )


def test_text_that_encodes_to_what_was_found_has_the_beam_s_score(trained):
    lists = trained.n_best(SOURCES[:8], 4)
    checked = 0
    for source, hypotheses in zip(SOURCES, lists, strict=False):
        found = score(trained, [source] * len(hypotheses), [h.text for h in hypotheses])
        for hypothesis, again in zip(hypotheses, found, strict=True):
            if hypothesis.is_finished and again.pieces == hypothesis.pieces:
                assert again.score == pytest.approx(hypothesis.score, abs=1e-4)
                checked += 1
    assert checked > 10


def test_what_has_not_ended_is_a_prefix_of_what_has(trained):
    """No score is given for an end that is not there, and no later token counts."""
    source, target = tokens(trained, SOURCES[:1], TARGETS[:1])
    (whole,) = score_tokens(trained, source, target)
    for length in (1, 5, len(target[0]) - 1):
        (part,) = score_tokens(trained, source, [target[0][:length]])
        np.testing.assert_allclose(
            part.token_log_probs, whole.token_log_probs[:length], atol=1e-5
        )


def test_order_and_company_do_not_matter(trained):
    together = totals(score(trained, SOURCES, TARGETS))
    assert len(set(together.round(3))) == len(PAIRS), "or order would not matter"
    backwards = totals(score(trained, SOURCES[::-1], TARGETS[::-1]))
    np.testing.assert_allclose(backwards[::-1], together, atol=1e-4)
    # In batches of at most eight rows, one a device.
    few = totals(score(trained, SOURCES, TARGETS, batch_tokens=16))
    np.testing.assert_allclose(few, together, atol=1e-4)
    assert score(trained, [], []) == []


@pytest.mark.slow
def test_scores_do_not_depend_on_the_devices(trained):
    together = totals(score(trained, SOURCES[:6], TARGETS[:6]))
    for axes, number in (({}, 1), ({"fsdp": 2, "tensor": 2}, 4)):
        mesh = make_mesh(MeshConfig(**axes), jax.devices()[:number])
        params = jax.device_put(trained.params, sharding.replicated_sharding(mesh))
        translator = Translator(trained.config, params, trained.tokenizer, mesh)
        found = totals(score(translator, SOURCES[:6], TARGETS[:6]))
        np.testing.assert_allclose(found, together, atol=1e-4)


def test_several_models_give_the_mean_of_their_probabilities(trained, random, both):
    singles = [score(model, SOURCES, TARGETS) for model in (trained, random)]
    for mixed, *each in zip(score(both, SOURCES, TARGETS), *singles, strict=True):
        probabilities = np.exp([found.token_log_probs for found in each])
        np.testing.assert_allclose(
            mixed.token_log_probs, np.log(probabilities.mean(axis=0)), atol=1e-4
        )
        assert mixed.log_prob == pytest.approx(sum(mixed.token_log_probs))


@pytest.mark.slow
def test_coverage_counts_attention_of_the_last_layer_up_to_one(trained):
    beta = 0.2
    pairs = PAIRS[0], PAIRS[1], ("", "ba be")
    sides = [list(side) for side in zip(*pairs, strict=True)]
    plain = score(trained, *sides, length_penalty="none")
    found = score(trained, *sides, length_penalty="none", coverage_penalty=beta)
    for index, pair in enumerate(pairs):
        attention = trained.attention(*pair)
        # [layers, heads, target, source]
        got = attention.cross[-1].mean(axis=0).sum(axis=0)
        expected = beta * np.log(np.minimum(got, 1.0)).sum()
        change = found[index].score - plain[index].score
        assert change == pytest.approx(expected, abs=1e-4)
        assert found[index].log_prob == pytest.approx(plain[index].log_prob, abs=1e-4)


@pytest.mark.parametrize("has_bias", [False, True])
def test_logarithms_of_probabilities_against_numpy(has_bias):
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((3, 7, 5)).astype(np.float32)
    matrix = 3 * rng.standard_normal((11, 5)).astype(np.float32)
    labels = rng.integers(0, 11, (3, 7))
    bias = jnp.asarray(rng.standard_normal(11), jnp.float32) if has_bias else None
    logits = hidden.astype(np.float64) @ matrix.T.astype(np.float64)
    logits = logits if bias is None else logits + np.asarray(bias)
    expected = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    expected = expected - np.log(np.exp(logits).sum(axis=-1))
    for slice_tokens in (1, 6, 9, 1_000):
        found = gold_log_probs(
            jnp.asarray(hidden), jnp.asarray(matrix), bias, jnp.asarray(labels),
            slice_tokens,
        )  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_logits_of_a_batch_are_never_whole():
    rows, length, vocab = 16, 64, 4_096
    shapes = (
        jax.ShapeDtypeStruct((rows, length, 8), jnp.float32),
        jax.ShapeDtypeStruct((vocab, 8), jnp.float32),
        jax.ShapeDtypeStruct((vocab,), jnp.float32),
        jax.ShapeDtypeStruct((rows, length), jnp.int32),
    )
    compiled = jax.jit(gold_log_probs, static_argnums=4).lower(*shapes, 64).compile()
    whole = rows * length * vocab * 4
    assert compiled.memory_analysis().temp_size_in_bytes < whole / 4


def test_few_programs_serve_all_lengths(trained):
    sentences = [" ".join(["ba"] * number) for number in range(1, 40)]
    counter = CompileCounter()
    try:
        score(trained, sentences, sentences)
        score(trained, sentences[:30], sentences[:30])
        counter.count = 0
        score(trained, sentences[:29], sentences[:29])
        assert counter.count == 0
    finally:
        counter.close()


def test_in_bfloat16_scores_are_near(trained):
    exact = totals(score(trained, SOURCES[:6], TARGETS[:6]))
    near = totals(score(trained, SOURCES[:6], TARGETS[:6], compute_dtype="bfloat16"))
    assert (near != exact).all()
    np.testing.assert_allclose(near, exact, rtol=0.02)


def test_pairs_are_counted_batch_by_batch(trained):
    counts = []
    scores = score(trained, SOURCES, TARGETS, batch_tokens=64, on_done=counts.append)
    assert counts == sorted(set(counts))
    assert len(counts) > 1
    assert counts[-1] == len(PAIRS) == len(scores)
