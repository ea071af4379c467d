"""Section 3.4: rows times sqrt(d_model)."""

import jax
import jax.numpy as jnp
import numpy as np

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.embedding import Embedding


def test_embeddings_are_rows_times_the_root_of_the_width():
    module = Embedding(ModelConfig.tiny(d_model=16), vocab_size=5)
    matrix = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    tokens = jnp.asarray([[4, 0], [1, 1]])
    result = module.apply({"params": {"matrix": jnp.asarray(matrix)}}, tokens)
    np.testing.assert_allclose(result, 4.0 * matrix[tokens], rtol=1e-6)


def test_embeddings_begin_with_unit_variance():
    module = Embedding(ModelConfig.tiny(d_model=64), vocab_size=500)
    embedded, _ = module.init_with_output(jax.random.key(0), jnp.arange(500))
    np.testing.assert_allclose(embedded.std(), 1.0, rtol=0.02)
