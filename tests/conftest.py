"""Eight fake CPU devices, strict JAX, and models with parameters to test them with."""

import functools
import gc
import logging
import math
import os
import signal
import time

from compile_flags import FLAGS
from shared_folder import SHARED

# Read when JAX makes its backend, so set before anything can do that.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *FLAGS)).strip()

import jax
import numpy as np
import pytest

from transformer_jax.model.size import abstract_params

# A job in the background ignores signals, and what it starts would too: with a handler,
# only it does.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

jax.config.update("jax_numpy_rank_promotion", "raise")

jax.config.update("jax_compilation_cache_dir", str(SHARED / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


# Seconds since 1970 after which no test begins: continuous integration has a limit.
UNTIL = float(os.environ.get("TRANSFORMER_JAX_TESTS_UNTIL", "inf"))


@functools.cache
def _random_params(config, seed=0):
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        name, width = path[-1].key, config.d_model
        noise = rng.standard_normal(leaf.shape).astype(np.float32)
        return {"scale": 1 + 0.1 * noise, "bias": 0.1 * noise}.get(
            name, width**-0.5 * noise
        )

    return jax.tree_util.tree_map_with_path(fill, abstract_params(config))


@pytest.fixture(scope="session")
def random_params():
    """Returns `config -> parameters`, where no bias is 0 and no scale is 1.

    Drawn with NumPy rather than by `Transformer.init`, which would be compiled for
    every configuration.
    """
    return _random_params


def pytest_collection_modifyitems(items):
    """Puts the notebook first: it takes minutes, beside which all others can run.

    Where time may run out, the others begin with another file each time.
    """
    if items and math.isfinite(UNTIL):
        files = sorted({item.path for item in items})
        first = int(UNTIL) % len(files)
        items.sort(key=lambda item: (files.index(item.path) - first) % len(files))
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Skips what would begin too late."""
    if time.time() > UNTIL:
        pytest.skip("no time is left")


def pytest_sessionstart():
    """Looks for no garbage while tests are collected: it takes long, and finds none."""
    gc.disable()


def pytest_collection_finish():
    """Looks for garbage seldom, and not in what was imported, which stays."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True)
def _level_of_the_log():
    """A command that is run here sets the level for its own process."""
    logger = logging.getLogger("transformer_jax")
    before = logger.level
    yield
    logger.setLevel(before)
