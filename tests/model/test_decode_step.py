"""Decoding with a cache gives the logits of teacher forcing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config import ModelConfig
from transformer_jax.model.transformer import Transformer

BATCH, BEAM, SOURCE, TARGET, VOCAB = 2, 3, 6, 7, 20
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
    "nothing shared, d_k and d_v": {
        "share_embeddings": "none", "target_vocab_size": 11, "d_k": 5, "d_v": 3
    },
    "bfloat16": {"compute_dtype": "bfloat16"},
}  # fmt: skip


@functools.partial(jax.jit, static_argnums=0)
def both_ways(config, params, source, source_segments, hypotheses):
    """Returns logits `[batch, beam, target, vocab]` by steps and by teacher forcing."""
    apply = functools.partial(Transformer(config).apply, {"params": params})
    memory = apply(
        source, segments=source_segments, deterministic=True, method="encode"
    )
    cache = apply(
        memory, source_segments, beam_size=BEAM, max_length=TARGET + 2,
        method="init_cache",
    )  # fmt: skip

    def step(cache, inputs):
        tokens, position = inputs
        logits, cache = apply(tokens, cache, position, method="decode_step")
        return cache, logits

    inputs = (jnp.moveaxis(hypotheses, -1, 0), jnp.arange(TARGET))
    _, stepped = jax.lax.scan(step, cache, inputs)

    hidden = apply(
        hypotheses.reshape(BATCH * BEAM, TARGET),
        jnp.repeat(memory, BEAM, axis=0),
        source_segments=jnp.repeat(source_segments, BEAM, axis=0),
        deterministic=True,
        method="decode",
    )
    forced = apply(hidden, method="logits")
    return jnp.moveaxis(stepped, 0, 2), forced.reshape(BATCH, BEAM, TARGET, -1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_with_a_cache_give_the_logits_of_teacher_forcing(variant, random_params):
    config = ModelConfig(**{**TINY, **VARIANTS[variant]})
    rng = np.random.default_rng(0)
    source = jnp.asarray(rng.integers(0, VOCAB, (BATCH, SOURCE)))
    segments = jnp.asarray([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    hypotheses = rng.integers(0, config.output_vocab_size, (BATCH, BEAM, TARGET))
    stepped, forced = both_ways(
        config, random_params(config), source, segments, jnp.asarray(hypotheses)
    )
    assert stepped.dtype == forced.dtype == jnp.float32
    assert forced.std() > 0.3
    atol = 0.1 if variant == "bfloat16" else 1e-5
    np.testing.assert_allclose(stepped, forced, rtol=1e-5, atol=atol)
