"""Profiles of Hypothesis: few examples that are always the same, or many new ones."""

import os

from hypothesis import HealthCheck, configuration, settings
from shared_folder import SHARED

NUMBER = int(os.environ.get("FUZZING", "0"))
"""Examples of each property in a search for faults. 0 = the few of every day."""

# Fixtures are read only, or write files that each example replaces.
_ALLOWED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

settings.register_profile(
    "few",
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=_ALLOWED,
)
settings.register_profile(
    "many",
    settings.get_profile("few"),
    max_examples=max(NUMBER, 1),
    derandomize=False,
    print_blob=True,
)
settings.load_profile("many" if NUMBER else "few")
# What it keeps between runs, tables of Unicode, goes where all tests put such things.
configuration.set_hypothesis_home_dir(SHARED / "hypothesis")


def examples(number: int) -> int:
    """Returns the examples of a slow property, which has `number` every day, not 20."""
    return max(NUMBER * number // 20, 1) if NUMBER else number
