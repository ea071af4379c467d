"""What was written in whole chunks outlives an interruption, and nothing else does."""

import contextlib
import json
import logging

import pytest

from transformer_jax.errors import InputError
from transformer_jax.file_translation.parts import (
    check_other_parts,
    join_parts,
    part_path,
)
from transformer_jax.file_translation.resumable_output import (
    open_resumable,
    read_complete,
    read_journal,
)

SETTINGS = {"beam_size": 4, "prefixes": False, "alpha": 0.6, "top_k": None}


class Interruption(BaseException):
    """As a signal's."""


def interrupted(path, chunks, settings=SETTINGS, resume=False):
    """Writes chunks, each of one more line, and is interrupted."""
    with (
        contextlib.suppress(Interruption),
        open_resumable(path, settings, resume) as out,
    ):
        for chunk in chunks:
            lines = out.journal.lines + 1
            out.append(chunk, lines, f"digest of {lines}")
        raise Interruption


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_is_gone_on_with(tmp_path):
    path = tmp_path / "out.partial"
    interrupted(path, ["ä\n", "b\nb\n"])
    final = tmp_path / "out"
    with open_resumable(path, SETTINGS, resume=True, destination=final) as out:
        assert (out.journal.lines, out.journal.input_digest) == (2, "digest of 2")
        out.append("c\n", 3, "digest of 3")
        assert files(tmp_path) == ["out.partial", "out.partial.json"]
    assert final.read_text(encoding="utf-8") == "ä\nb\nb\nc\n"
    assert files(tmp_path) == ["out", "out.complete.json"]
    journal = read_complete(final)
    assert (journal.lines, journal.input_digest) == (3, "digest of 3")


def test_a_job_that_is_not_continued_leaves_the_output_alone(tmp_path):
    path, final = tmp_path / "out.partial", tmp_path / "out"
    for resume, left in ((True, ["out", "out.complete.json"]), (False, ["out"])):
        with open_resumable(path, SETTINGS, resume, destination=final) as out:
            out.append("a\n", 1, "digest of 1")
        assert files(tmp_path) == left


def test_a_file_without_bytes_is_begun_anew(tmp_path):
    """As a job leaves it that is killed before its first journal, or after its last."""
    path = tmp_path / "out.partial"
    interrupted(path, ["a\n"])
    path.write_bytes(b"")
    with open_resumable(path, SETTINGS, resume=False) as out:
        assert out.journal.lines == 0


def test_what_no_journal_speaks_of_is_cut_off(tmp_path):
    """A job may be killed after it wrote bytes and before it wrote of them."""
    path = tmp_path / "out.partial"
    interrupted(path, ["a\n"])
    with path.open("ab") as file:
        file.write("b\nhalf a line, half a sign ä".encode()[:-1])
    with open_resumable(path, SETTINGS, resume=True) as out:
        out.append("B\n", 2, "")
    assert path.read_text() == "a\nB\n"


def test_what_was_written_is_not_overwritten(tmp_path):
    path = tmp_path / "out.partial"
    interrupted(path, ["a\n", "b\n"])
    with pytest.raises(InputError, match=r"out\.partial holds 2 lines .*resume=True"):
        interrupted(path, ["c\n"])
    assert path.read_text() == "a\nb\n"
    path.unlink()  # As the message says.
    interrupted(path, ["c\n"])
    assert path.read_text() == "c\n"


def test_where_nothing_was_done_nothing_is_left(tmp_path):
    path = tmp_path / "out.partial"
    interrupted(path, [])
    assert files(tmp_path) == []
    # Killed, it could not clean up; nothing is lost with that.
    path.touch()
    path.with_name("out.partial.json").write_text(json.dumps({"settings": {}}))
    interrupted(path, ["a\n"])
    assert path.read_text() == "a\n"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (SETTINGS | {"beam_size": 5}, "begun with beam_size=4, not 5"),
        (SETTINGS | {"more": 1}, "begun with more=null, not 1"),
    ],
)
def test_only_the_same_job_is_gone_on_with(tmp_path, settings, expected):
    path = tmp_path / "out.partial"
    interrupted(path, ["a\n"])
    with pytest.raises(InputError, match=expected):
        interrupted(path, ["b\n"], settings, resume=True)
    assert path.read_text() == "a\n"
    assert read_journal(path).settings == SETTINGS


def test_only_who_does_not_resume_is_told_how(tmp_path, caplog):
    path = tmp_path / "out.partial"
    with caplog.at_level(logging.INFO):
        interrupted(path, ["a\n"])
        assert "keeps the 1 lines" in caplog.messages[-1]
        caplog.clear()
        interrupted(path, [], resume=True)
        assert caplog.messages == []
        interrupted(path, ["b\n"], resume=True)
        assert "keeps the 2 lines" in caplog.messages[-1]


@pytest.mark.parametrize(
    "damage",
    ["no journal", "half a journal", "other types", "negative", "too short"],
)
def test_what_cannot_be_trusted_is_refused_and_kept(tmp_path, damage):
    path, journal = tmp_path / "out.partial", tmp_path / "out.partial.json"
    interrupted(path, ["a\n", "b\n"])
    if damage == "no journal":
        journal.unlink()
    elif damage == "half a journal":
        journal.write_text(journal.read_text()[:20])
    elif damage in ("other types", "negative"):
        wrong = {"settings": None} if damage == "other types" else {"num_bytes": -1}
        journal.write_text(json.dumps(json.loads(journal.read_text()) | wrong))
    else:
        path.write_text("a\n")
    before = path.read_text()
    for resume in (True, False):
        with pytest.raises(InputError, match=r"out\.partial is left .* delete it"):
            interrupted(path, ["c\n"], resume=resume)
    assert path.read_text() == before


def test_what_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match="nope/out: cannot be written"):
        interrupted(tmp_path / "nope" / "out", [])


def test_parts_are_joined_in_order_and_deleted(tmp_path):
    output = tmp_path / "out[1].de"
    for index in (2, 0, 1):
        interrupted(part_path(output, (index, 3)), [f"{index}\n"])
    join_parts(output, 3)
    assert output.read_text() == "0\n1\n2\n"
    assert files(tmp_path) == ["out[1].de"]


def test_a_part_that_is_not_there_is_named_before_anything_is_joined(tmp_path):
    output = tmp_path / "out"
    interrupted(part_path(output, (0, 2)), ["0\n"])
    with pytest.raises(InputError, match="part-00001-of-00002 is not there"):
        join_parts(output, 2)
    assert "out" not in files(tmp_path)


def test_parts_of_a_job_of_other_size_are_not_mixed(tmp_path):
    output = tmp_path / "out"
    check_other_parts(output, 2)
    interrupted(part_path(output, (1, 2)), ["0\n"])
    interrupted(part_path(tmp_path / "output", (0, 1)), ["another's\n"])
    check_other_parts(output, 2)
    for count in (1, 3):
        with pytest.raises(InputError, match=r"part-00001-of-00002 .* 2 processes"):
            check_other_parts(output, count)
    interrupted(part_path(output, (0, 1)), ["0\n"])
    with pytest.raises(InputError, match=r"out\.partial .* 1 process"):
        check_other_parts(output, 2)


def test_two_jobs_do_not_write_one_file(tmp_path):
    path = tmp_path / "out.partial"
    for resume in (False, True):
        with open_resumable(path, SETTINGS, resume=resume) as out:
            lines = out.journal.lines + 1
            refused = pytest.raises(InputError, match=r"written by another job: wait")
            with refused, open_resumable(path, SETTINGS, resume=True):
                pass
            out.append("a\n", lines, "digest")
    assert path.read_text() == "a\na\n"
