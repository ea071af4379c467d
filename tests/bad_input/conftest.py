"""A folder with what commands need, and the check of what they refuse in it."""

import pytest
from refusals import Refusals, make_world


@pytest.fixture
def refusals(tmp_path, capsys, monkeypatch):
    """Returns the check; the current directory has settings, texts and a run."""
    make_world(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Refusals(tmp_path, capsys, monkeypatch)
