"""A trained model and lines to translate, for all tests of this folder."""

import pytest
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.translation.translator import Translator


@pytest.fixture(scope="session")
def translator():
    return Translator.from_checkpoint(trained_run().workdir)


@pytest.fixture(scope="session")
def sources():
    return [source for source, _ in reversed_pairs(22, seed=5)]
