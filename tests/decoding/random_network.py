"""A random network to search with, in JAX with a cache and in NumPy without one.

Its output depends on every token of the prefix and on its place, so that a hypothesis
that sees the wrong ancestors, or the right ones in the wrong order, goes another way.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from reference_search import Found

from transformer_jax.decoding.beam_search import beam_search

PAD, EOS = 0, 1
BOS = PAD
NUM_SENTENCES = 5
WIDTH, LONGEST, SOURCE = 8, 32, 6

# Compiles in half the time, which is most of what a test takes.
quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


@functools.cache
def random_weights(vocab_size, seed):
    """What all sentences share."""
    rng = np.random.default_rng(seed)
    shapes = {
        "embedding": (vocab_size, WIDTH), "place": (LONGEST, WIDTH),
        "output": (WIDTH, vocab_size),
    }  # fmt: skip
    return {
        name: rng.normal(0, 1.0 if name == "output" else 1.2, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


@functools.cache
def random_sentences(seed, number=NUM_SENTENCES):
    """What a search reads of each sentence; sources of 3 to 6 tokens."""
    rng = np.random.default_rng(1_000 + seed)
    return {
        "memory": rng.normal(0, 0.3, (number, WIDTH)).astype(np.float32),
        "source": rng.normal(0, 1, (number, SOURCE, WIDTH)).astype(np.float32),
        "is_source": np.arange(SOURCE) < rng.integers(3, SOURCE + 1, (number, 1)),
    }


def one(sentences, index):
    """A batch of only one of the sentences."""
    return {name: part[index : index + 1] for name, part in sentences.items()}


def empty_cache(sentences, beam_size, slots):
    """The sentences, and a place for what each hypothesis reads in each slot."""
    places = jnp.zeros((len(sentences["memory"]), slots * beam_size), jnp.int32)
    return {**sentences, "tokens": places, "positions": places}


def make_step(weights):
    """What the search calls."""
    weights = jax.tree.map(jnp.asarray, weights)

    def step(tokens, positions, history, cache):
        first = history.slot[0] * tokens.shape[1]
        own = jnp.broadcast_to(positions[:, None], tokens.shape)
        write = functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=1)
        cache = {
            **cache,
            "tokens": write(cache["tokens"], tokens, first),
            "positions": write(cache["positions"], own, first),
        }
        read = weights["embedding"][cache["tokens"]]
        read *= weights["place"][cache["positions"]]
        seen = history.visible_places().astype(jnp.float32)
        summed = jnp.einsum("bkp,bpw->bkw", seen, read)
        summed /= jnp.sqrt(positions + 1.0)[:, None, None]
        hidden = jnp.tanh(summed + cache["memory"][:, None])
        logits = jnp.einsum("bkw,wv->bkv", hidden, weights["output"])
        scores = jnp.einsum("bkw,bsw->bks", hidden, cache["source"])
        is_source = cache["is_source"][:, None]
        return logits, cache, jax.nn.softmax(jnp.where(is_source, scores, -jnp.inf))

    return step


def search_in_jit(weights, sentences, settings, *, max_length, **options):
    """Searches for every sentence; `options` are those of `beam_search`."""
    cache = empty_cache(sentences, settings.beam_size, max_length)
    coverage = None
    if settings.coverage_penalty:
        coverage = jnp.where(sentences["is_source"], 0.0, 1.0)
    return beam_search(
        make_step(weights), cache, jnp.full(sentences["memory"].shape[:1], BOS),
        settings, max_length=max_length, eos_id=EOS, pad_id=PAD, coverage=coverage,
        **options,
    )  # fmt: skip


search_network = quick_jit(
    search_in_jit, static_argnames=("settings", "max_length", "num_results")
)


def make_model(weights, sentences, index):
    """The same network for one sentence, as `reference_search` calls it."""
    weights = {name: part.astype(np.float64) for name, part in weights.items()}
    memory = sentences["memory"][index].astype(np.float64)
    source = sentences["source"][index][sentences["is_source"][index]]

    @functools.cache
    def model(tokens):
        read = weights["embedding"][[BOS, *tokens]]
        read *= weights["place"][: len(read)]
        hidden = np.tanh(read.sum(axis=0) / np.sqrt(len(read)) + memory)
        return log_softmax(hidden @ weights["output"]), np.exp(
            log_softmax(source.astype(np.float64) @ hidden)
        )

    return model


def log_softmax(logits):
    return logits - np.logaddexp.reduce(logits)


def n_best(result, index):
    """The n-best list of a sentence."""
    lists = (result.sequences, result.lengths, result.scores, result.finished)
    return [
        Found(tuple(tokens[:length].tolist()), float(score), bool(is_finished))
        for tokens, length, score, is_finished in zip(
            *(np.asarray(part[index]) for part in lists), strict=True
        )
        if length > 0
    ]


def assert_same(found, expected):
    """The same hypotheses in the same order, and the same scores."""
    without_score = [
        [(each.tokens, each.is_finished) for each in hypotheses]
        for hypotheses in (found, expected)
    ]
    assert without_score[0] == without_score[1]
    np.testing.assert_allclose(
        [each.score for each in found], [each.score for each in expected],
        rtol=2e-5, atol=1e-6,
    )  # fmt: skip
