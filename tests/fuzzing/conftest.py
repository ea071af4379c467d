"""Hypothesis for this folder: the profiles.

`make slow` runs few examples, the same every time. To look for faults, run more, which
are new each time::

    FUZZING=5000 .venv/bin/python -m pytest tests/fuzzing -m slow
"""

import profiles  # noqa: F401
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder as slow."""
    for item in items:
        if "tests/fuzzing/" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)
