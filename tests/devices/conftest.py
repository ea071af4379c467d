"""A cache of compiled programs for one test."""

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from transformer_jax.devices.kept_files import FOLDER


@pytest.fixture
def folder(tmp_path):
    """The folder of programs, empty; JAX's own cache is beside it."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    compilation_cache.reset_cache()
    yield tmp_path / FOLDER
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()
