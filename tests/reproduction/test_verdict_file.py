"""Which files are verdicts, and what a verdict may not replace."""

import json
import os

import pytest
from made_up_verdicts import DAMAGES, damage_verdict, made_up_verdict, write_verdict

from transformer_jax.errors import InputError
from transformer_jax.reproduction import verdict_file
from transformer_jax.reproduction.targets import TARGETS
from transformer_jax.reproduction.verdict import verdict_markdown
from transformer_jax.reproduction.verdict_file import (
    PAGE,
    TRANSLATIONS,
    VERDICT,
    check_free_of_others,
    known_verdict,
    read_verdict,
)
from transformer_jax.storage.work_directory import work_directory


@pytest.fixture
def folder(tmp_path):
    return work_directory(write_verdict(tmp_path / "run", "base", 20.0))


def test_what_is_made_is_read(tmp_path):
    rows = [name.removeprefix("table3-") for name in TARGETS if "table3" in name]
    for row in [*rows, "table2-base-en-de"]:
        path = work_directory(write_verdict(tmp_path / row, row, 20.0)) / VERDICT
        assert read_verdict(path) == json.loads(path.read_text())


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_no_verdict(damage, folder):
    for name in (PAGE, TRANSLATIONS):
        (folder / name).touch()
    assert known_verdict(folder, {"target": "table3-base"})
    damage_verdict(folder / VERDICT, damage)
    assert read_verdict(folder / VERDICT) is None
    assert known_verdict(folder, {}) is None


def test_the_shape_has_all_that_the_page_reads():
    """A value that is left out is none that a page can be made without."""
    verdict = made_up_verdict("base", 20.0)
    shape = verdict_file.SHAPE.keys() | verdict_file._OF_TARGET.keys()
    assert verdict_markdown({name: verdict[name] for name in shape})
    assert shape == verdict.keys()


def test_the_verdict_on_another_target_is_not_replaced(folder):
    check_free_of_others("table3-base", folder)
    with pytest.raises(InputError, match="has the verdict on table3-base, which"):
        check_free_of_others("table2-base-en-de", folder)
    (folder / VERDICT).write_text("damaged")
    check_free_of_others("table2-base-en-de", folder)
    for name in (PAGE, TRANSLATIONS):
        (folder / name).mkdir()
        with pytest.raises(InputError, match=f"{name} is a directory"):
            check_free_of_others("table3-base", folder)
        (folder / name).rmdir()
        os.mkfifo(folder / name)
        with pytest.raises(InputError, match=f"{name} is a pipe"):
            check_free_of_others("table3-base", folder)
        (folder / name).unlink()
