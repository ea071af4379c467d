"""One fault; `make faults` tries a hundred."""

import pytest
from harness import disturb


@pytest.mark.long
def test_a_run_that_is_killed_ends_as_one_that_is_not(tmp_path):
    told = disturb(kills=1, terms=0, seed=1, folder=tmp_path)
    assert told["wrong"] == []
    assert sum(told["phases"].values()) == 1
    assert told["runs_compared"] >= 1
