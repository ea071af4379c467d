"""Beam search of a random recurrent network against plain Python and enumeration.

The network's state is the cache: its output depends on the whole prefix, so that a
cache reordered wrongly, or not at all, changes the result.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.decoding.beam_search import beam_search
from transformer_jax.decoding.scores import make_length_penalty

PAD, EOS = 0, 1
BOS = PAD
BATCH, WIDTH = 5, 8


@functools.cache
def recurrent(vocab_size, seed):
    """Parameters of the network and, for each sentence, a bias all beams share."""
    rng = np.random.default_rng(seed)
    shapes = {
        "embedding": (vocab_size, WIDTH), "recurrence": (WIDTH, WIDTH),
        "output": (WIDTH, vocab_size), "memory": (BATCH, WIDTH),
    }  # fmt: skip
    return {
        name: rng.normal(0, 0.8, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


@functools.partial(
    jax.jit, static_argnames=("beam_size", "max_length", "length_penalty")
)
def search_recurrent(weights, max_lengths=None, *, beam_size, **settings):
    memory = weights["memory"]

    def step(tokens, cache, position):
        hidden = jnp.tanh(
            jnp.einsum("bkd,de->bke", cache["hidden"], weights["recurrence"])
            + weights["embedding"][tokens]
            + memory[:, None, :]
        )
        logits = jnp.einsum("bkd,dv->bkv", hidden, weights["output"])
        prefix = cache["prefix"].at[:, :, position].set(tokens)
        return jax.nn.log_softmax(logits), {"hidden": hidden, "prefix": prefix}

    beams = (memory.shape[0], beam_size)
    cache = {
        "hidden": jnp.zeros((*beams, WIDTH)),
        "prefix": jnp.zeros((*beams, settings["max_length"]), jnp.int32),
    }
    return beam_search(
        step, cache, jnp.full(beams[:1], BOS), max_lengths=max_lengths,
        beam_size=beam_size, eos_id=EOS, pad_id=PAD, **settings,
    )  # fmt: skip


def log_probs_after(weights, sentence, prefix):
    """The same network in NumPy, float64, reading the whole prefix."""
    hidden = np.zeros(WIDTH)
    for token in (BOS, *prefix):
        hidden = np.tanh(
            hidden @ weights["recurrence"].astype(np.float64)
            + weights["embedding"][token]
            + weights["memory"][sentence]
        )
    logits = hidden @ weights["output"]
    return logits - np.logaddexp.reduce(logits)


def score_of(weights, sentence, tokens, length_penalty):
    total = sum(
        log_probs_after(weights, sentence, tokens[:i])[token]
        for i, token in enumerate(tokens)
    )
    return total / float(length_penalty(len(tokens)))


def search_in_python(weights, sentence, beam_size, limit, length_penalty):
    """Beam search by the module's definition, without an early stop or a cache."""
    live, finished = [((), 0.0)], []
    for _ in range(limit):
        candidates = [
            ((*prefix, token), total + log_prob)
            for prefix, total in live
            for token, log_prob in enumerate(log_probs_after(weights, sentence, prefix))
        ]
        candidates.sort(key=lambda pair: -pair[1])
        finished += [
            (tokens, total / float(length_penalty(len(tokens))))
            for tokens, total in candidates[:beam_size]
            if tokens[-1] == EOS
        ]
        live = [pair for pair in candidates if pair[0][-1] != EOS][:beam_size]
    finished.sort(key=lambda pair: -pair[1])
    unfinished = [(t, total / float(length_penalty(limit))) for t, total in live]
    return (finished + unfinished)[:beam_size]


def hypotheses(result, sentence):
    """The n-best list as [(tokens, score)]."""
    lengths = result.lengths[sentence]
    return [
        (tuple(tokens[:length].tolist()), score)
        for tokens, length, score in zip(
            result.sequences[sentence], lengths, result.scores[sentence], strict=True
        )
        if length > 0
    ]


def assert_same(found, expected):
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in expected]
    np.testing.assert_allclose(
        [score for _, score in found], [score for _, score in expected], rtol=2e-5
    )


PENALTIES = [("gnmt", 0.6), ("length", 0.6), ("length", 1.0), ("none", 0.0)]


@pytest.mark.parametrize("seed", range(4))
def test_beam_of_one_is_greedy_search(seed):
    weights, max_length = recurrent(7, seed), 12
    result = jax.device_get(
        search_recurrent(
            weights, beam_size=1, max_length=max_length,
            length_penalty=make_length_penalty("gnmt", 0.6),
        )
    )  # fmt: skip
    for sentence in range(BATCH):
        greedy = ()
        while len(greedy) < max_length and greedy[-1:] != (EOS,):
            log_probs = log_probs_after(weights, sentence, greedy)
            greedy += (int(np.argmax(log_probs)),)
        (found,) = hypotheses(result, sentence)
        assert found[0] == greedy
        assert result.finished[sentence, 0] == (greedy[-1] == EOS)
        assert result.num_steps[sentence] == len(greedy)


@pytest.mark.parametrize(
    ("name", "alpha"), [("gnmt", 0.6), ("gnmt", 1.0), ("length", 0.6), ("none", 0.0)]
)
@pytest.mark.parametrize("beam_size", [2, 4])
def test_early_stop_takes_fewer_steps_to_the_same_result(name, alpha, beam_size):
    weights, max_length = recurrent(4, 1), 30
    penalty = make_length_penalty(name, alpha)
    result = jax.device_get(
        search_recurrent(
            weights, beam_size=beam_size, max_length=max_length, length_penalty=penalty
        )
    )
    for sentence in range(BATCH):
        assert_same(
            hypotheses(result, sentence),
            search_in_python(weights, sentence, beam_size, max_length, penalty),
        )
    assert (result.num_steps < max_length).all()


@pytest.mark.parametrize(("name", "alpha"), PENALTIES)
def test_wide_beam_is_exhaustive_search(name, alpha):
    vocab_size, max_length = 3, 4
    weights, penalty = recurrent(vocab_size, 2), make_length_penalty(name, alpha)
    beam_size = vocab_size**max_length
    result = jax.device_get(
        search_recurrent(
            weights, beam_size=beam_size, max_length=max_length, length_penalty=penalty
        )
    )
    others = [token for token in range(vocab_size) if token != EOS]
    finished = [
        (*body, EOS)
        for length in range(max_length)
        for body in itertools.product(others, repeat=length)
    ]
    unfinished = list(itertools.product(others, repeat=max_length))
    for sentence in range(BATCH):
        expected = []
        for group in (finished, unfinished):
            scored = [(t, score_of(weights, sentence, t, penalty)) for t in group]
            expected += sorted(scored, key=lambda pair: -pair[1])
        assert_same(hypotheses(result, sentence), expected)
        number = len(finished) + len(unfinished)
        assert (result.scores[sentence, number:] == -math.inf).all()
        assert (result.finished[sentence].sum()) == len(finished)


def test_n_best_are_sorted_distinct_padded_and_rescore_to_their_score():
    weights, penalty = recurrent(9, 3), make_length_penalty("gnmt", 0.6)
    result = jax.device_get(
        search_recurrent(weights, beam_size=6, max_length=15, length_penalty=penalty)
    )
    assert result.scores.dtype == np.float32
    assert result.sequences.dtype == result.lengths.dtype == np.int32
    for sentence in range(BATCH):
        found = hypotheses(result, sentence)
        assert len({tokens for tokens, _ in found}) == 6
        for flag in (True, False):
            scores = result.scores[sentence][result.finished[sentence] == flag]
            assert (np.diff(scores) <= 0).all()
        assert (np.diff(result.finished[sentence].astype(int)) <= 0).all()
        for beam, (tokens, score) in enumerate(found):
            assert (tokens[-1] == EOS) == result.finished[sentence, beam]
            assert EOS not in tokens[:-1]
            assert (result.sequences[sentence, beam, len(tokens) :] == PAD).all()
            rescored = score_of(weights, sentence, tokens, penalty)
            np.testing.assert_allclose(score, rescored, rtol=2e-5)


def test_each_sentence_has_its_own_limit():
    weights, penalty = recurrent(6, 1), make_length_penalty("length", 1.0)
    limits = [3, 1, 9, 0, 50]
    result = jax.device_get(
        search_recurrent(
            weights, jnp.array(limits), beam_size=3, max_length=10,
            length_penalty=penalty,
        )
    )  # fmt: skip
    for sentence, limit in enumerate(limits):
        limit = min(limit, 10)
        assert (result.lengths[sentence] <= limit).all()
        if limit == 0:
            assert hypotheses(result, sentence) == []
        else:
            assert_same(
                hypotheses(result, sentence),
                search_in_python(weights, sentence, 3, limit, penalty),
            )


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_sentence_alone_gives_what_it_gives_in_a_batch(beam_size):
    weights, limits = recurrent(6, 4), jnp.array([12, 3, 7, 12, 5])
    search = functools.partial(
        search_recurrent, beam_size=beam_size, max_length=12,
        length_penalty=make_length_penalty("gnmt", 0.6),
    )  # fmt: skip
    together = jax.device_get(search(weights, limits))
    for sentence in range(BATCH):
        one = slice(sentence, sentence + 1)
        weights_of_one = {**weights, "memory": weights["memory"][one]}
        alone = jax.device_get(search(weights_of_one, limits[one]))
        assert_same(hypotheses(alone, 0), hypotheses(together, sentence))
        assert (alone.finished == together.finished[one]).all()
        assert alone.num_steps == together.num_steps[one]


def test_sentences_spread_over_devices_need_no_communication():
    if len(jax.devices()) < BATCH:
        pytest.skip(f"needs {BATCH} devices, as tests/conftest.py provides")
    weights = recurrent(6, 4)
    search = functools.partial(
        search_recurrent, beam_size=3, max_length=12,
        length_penalty=make_length_penalty("gnmt", 0.6),
    )  # fmt: skip
    spread = jax.jit(
        jax.shard_map(
            lambda memory: search({**weights, "memory": memory}),
            mesh=jax.sharding.Mesh(jax.devices()[:BATCH], "data"),
            in_specs=jax.sharding.PartitionSpec("data"),
            out_specs=jax.sharding.PartitionSpec("data"),
            check_vma=False,
        )
    )
    compiled = spread.lower(weights["memory"]).compile()
    for collective in ("all-gather", "all-reduce", "collective-permute"):
        assert collective not in compiled.as_text()
    found, expected = jax.device_get((compiled(weights["memory"]), search(weights)))
    for sentence in range(BATCH):
        assert_same(hypotheses(found, sentence), hypotheses(expected, sentence))
    assert (found.num_steps == expected.num_steps).all()
