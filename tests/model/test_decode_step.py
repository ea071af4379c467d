"""Decoding with a cache gives the logits and the attention of teacher forcing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.decoding.history import (
    add_own_place,
    advance_history,
    empty_history,
)
from transformer_jax.model import step_weights
from transformer_jax.model.cache import DecoderCache, empty_key_values
from transformer_jax.model.transformer import Transformer

BATCH, BEAM, SOURCE, TARGET, VOCAB = 2, 3, 6, 7, 20
# The second sentence begins later, and goes round the end of the cache's ring: it
# writes over what its row held before.
BEGINS = np.array([0, 4])
NUM_STEPS, SLOTS = TARGET + 4, TARGET + 1
TINY = {
    "vocab_size": VOCAB, "d_model": 16, "d_ff": 24, "num_heads": 2,
    "num_encoder_layers": 1, "num_decoder_layers": 2,
}  # fmt: skip
VARIANTS = {
    "post-norm": {},
    "pre-norm, window, learned positions": {
        "norm": "pre", "attention_window": 2, "positions": "learned", "max_length": 9,
        "share_embeddings": "target", "target_vocab_size": 11,
    },
    "nothing shared, d_k and d_v, a scale": {
        "share_embeddings": "none", "target_vocab_size": 11, "d_k": 5, "d_v": 3,
        "attention_scale": 0.8,
    },
    "as in Marian": {
        "attention_bias": True, "output_bias": True, "norm_epsilon": 1e-2,
        "activation": "swish", "d_k": 5, "d_v": 3,
    },
    "bfloat16": {"compute_dtype": "bfloat16"},
    "bfloat16 products": {},
}  # fmt: skip


def positions_at(step):
    """Of each sentence; before and after it the row is idle."""
    return np.clip(step - BEGINS, 0, TARGET - 1)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def run_steps(
    config, dtype, transpose, params, source, source_segments, tokens, parents
):
    """Logits `[step, batch, beam, vocab]` and attention to the source.

    `tokens` and `parents` are `[step, batch, beam]`: the parents after each step.
    """
    apply = functools.partial(Transformer(config).apply, {"params": params})
    memory = apply(
        source, segments=source_segments, deterministic=True, method="encode"
    )
    cache = DecoderCache(
        self_attention=empty_key_values(config, BATCH, SLOTS * BEAM),
        cross_attention=apply(memory, method="project_memory"),
        source_segments=source_segments,
    )
    weights = apply(dtype, transpose=transpose, method="step_weights")

    def step(carry, inputs):
        cache, history = carry
        tokens, positions, parents = inputs
        begins = (positions == 0)[:, None, None]
        history = add_own_place(history._replace(sees=history.sees & ~begins))
        logits, cache, attention = apply(
            weights, tokens, cache, positions, history.slot[0],
            history.visible_places(config.attention_window), method="decode_step",
        )  # fmt: skip
        return (cache, advance_history(history, parents)), (logits, attention)

    positions = np.stack([positions_at(step) for step in range(NUM_STEPS)])
    initial = cache, empty_history(BATCH, BEAM, SLOTS)
    return jax.lax.scan(step, initial, (tokens, jnp.asarray(positions), parents))[1]


@functools.partial(jax.jit, static_argnums=0)
def teacher_forced_outputs(config, params, source, source_segments, sequences):
    """The same of whole sequences, `[batch, n, target]`, at every position."""
    number = sequences.shape[1]
    source, source_segments = (
        jnp.repeat(rows, number, axis=0) for rows in (source, source_segments)
    )
    model = Transformer(config)
    hidden, kept = model.apply(
        {"params": params}, source, sequences.reshape(-1, TARGET),
        source_segments=source_segments, deterministic=True, mutable="intermediates",
    )  # fmt: skip
    logits = model.apply({"params": params}, hidden, method="logits")
    weights = kept["intermediates"]["decoder"]["cross_attention"]["attention_weights"]
    last_layer = jnp.mean(weights[0][-1], axis=1)
    return tuple(
        part.reshape(BATCH, number, TARGET, -1) for part in (logits, last_layer)
    )


def read_tokens(tokens, parents):
    """What each hypothesis has read after each step, by walking from each to parents.

    Returns `[batch, step * beam, target]`, filled up with 0.
    """
    sequences = np.zeros((BATCH, NUM_STEPS, BEAM, TARGET), np.int32)
    for row in range(BATCH):
        lines = [[] for _ in range(BEAM)]
        for step in range(BEGINS[row], BEGINS[row] + TARGET):
            lines = [[*lines[i], tokens[step, row, i]] for i in range(BEAM)]
            for place, line in enumerate(lines):
                sequences[row, step, place, : len(line)] = line
            lines = [lines[parent] for parent in parents[step, row]]
    return sequences.reshape(BATCH, -1, TARGET)


@pytest.mark.parametrize(
    "variant", [*VARIANTS, *(f"{v}: transposed" for v in VARIANTS)]
)
def test_steps_with_a_cache_give_what_teacher_forcing_gives(
    variant, random_params, monkeypatch
):
    variant, _, transpose = variant.partition(":")
    # Some kernels are transposed, and others are not.
    monkeypatch.setattr(step_weights, "_LARGE_KERNEL", 200)
    config = ModelConfig(**{**TINY, **VARIANTS[variant]})
    rng = np.random.default_rng(0)
    source = jnp.asarray(rng.integers(0, VOCAB, (BATCH, SOURCE)))
    segments = jnp.asarray([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    beams = (NUM_STEPS, BATCH, BEAM)
    tokens = rng.integers(0, config.output_vocab_size, beams)
    parents = rng.integers(0, BEAM, beams)
    dtype = "bfloat16" if variant.startswith("bfloat16") else "float32"
    inputs = random_params(config), source, segments
    of_steps = run_steps(
        config, dtype, bool(transpose), *inputs,
        jnp.asarray(tokens), jnp.asarray(parents),
    )  # fmt: skip
    of_whole = teacher_forced_outputs(
        config, *inputs, jnp.asarray(read_tokens(tokens, parents))
    )

    atol = 0.1 if dtype == "bfloat16" else 1e-5
    for found, expected in zip(of_steps, of_whole, strict=True):
        assert found.dtype == expected.dtype == jnp.float32
        expected = np.reshape(expected, (BATCH, NUM_STEPS, BEAM, TARGET, -1))
        for row, begin in enumerate(BEGINS):
            for step in range(begin, begin + TARGET):
                np.testing.assert_allclose(
                    found[step, row], expected[row, step, :, step - begin],
                    rtol=1e-5, atol=atol,
                )  # fmt: skip
    logits, attention = of_whole
    assert logits.std() > 0.3
    assert attention.std() > 0.01
    # Nobody attends to padding.
    assert (np.asarray(of_steps[1])[BEGINS[1] :, 1, :, 3:] == 0).all()
