"""Progress: a bar on a terminal, lines in a log, nothing where it is not wanted."""

import io
import sys

import pytest

from transformer_jax import progress
from transformer_jax.progress import Progress


class Screen(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture
def clock(monkeypatch):
    """Returns the seconds of a clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def screen_of(monkeypatch, is_terminal) -> Screen:
    screen = Screen(is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_a_terminal_gets_a_bar(monkeypatch):
    screen = screen_of(monkeypatch, True)
    with Progress(10, "sentences", done=4) as shown:
        shown.say("compiling")
        assert "compiling" in screen.getvalue()
        shown.say("")
        shown.advance(10)
        shown.show({"loss": "1.5"})
        shown.write("a line")
        shown.show_done(10)
    text = screen.getvalue()
    assert "10/10" in text
    assert "sentences/s" in text
    assert "a line\n" in text
    assert "compiling" not in text.rsplit("\r", 1)[-1]


def test_a_log_gets_lines_with_rate_and_time_left(monkeypatch, clock):
    screen = screen_of(monkeypatch, False)
    with Progress(1_000, "sentences", done=100) as shown:
        shown.say("compiling")
        clock[0] += 30  # Not a part of the rate.
        shown.say("")
        shown.advance(200)
        clock[0] += 10
        shown.advance(400)
        shown.show({"loss": "1.5", "lr": "2"})
    assert screen.getvalue().splitlines() == [
        "compiling ...",
        "400 of 1,000 sentences (40 %), 20 sentences/s, 00:30 left: loss 1.5, lr 2",
    ]


def test_the_rate_is_that_of_the_last_ten_lines(monkeypatch, clock):
    screen = screen_of(monkeypatch, False)
    with Progress(10_000, "steps") as shown:
        shown.advance(100)
        for line, seconds in enumerate([100] * 5 + [10] * 10, 1):
            clock[0] += seconds
            shown.advance(100 + 100 * line)
            shown.show({})
    lines = screen.getvalue().splitlines()
    assert "600 of 10,000 steps (6 %), 1 steps/s, 2:36:40 left" in lines[4]
    assert "1,600 of 10,000 steps (16 %), 10 steps/s, 14:00 left" in lines[-1]


def test_what_is_said_twice_is_printed_once(monkeypatch):
    screen = screen_of(monkeypatch, False)
    with Progress(2, "sentences") as shown:
        shown.say("compiling")
        shown.say("compiling")
        shown.show_done(1)
        shown.say("compiling")
    assert screen.getvalue().splitlines() == ["compiling ..."] * 2


def test_lines_that_no_one_asked_for_are_ten_seconds_apart(monkeypatch, clock):
    screen = screen_of(monkeypatch, False)
    shown = Progress(None, "sentences")
    for done in range(0, 2_600, 100):
        shown.show_done(done)
        clock[0] += 1
    shown.close()
    assert screen.getvalue().splitlines() == [
        "1,000 sentences, 100 sentences/s",
        "2,000 sentences, 100 sentences/s",
    ]


def test_one_is_named_as_one(monkeypatch, clock):
    screen = screen_of(monkeypatch, False)
    with Progress(None, "sentences") as shown:
        clock[0] += 60
        shown.show_done(1)
    assert screen.getvalue() == "1 sentence\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_not_wanted_is_not_shown(monkeypatch, clock, is_terminal):
    screen = screen_of(monkeypatch, is_terminal)
    with Progress(10, "sentences", shown=False) as shown:
        shown.say("compiling")
        shown.advance(5)
        clock[0] += 60
        shown.show_done(6)
        shown.show({"loss": "1.5"})
        shown.write("a line")
    assert screen.getvalue() == ""


def test_only_the_primary_process_shows_progress(monkeypatch):
    monkeypatch.setattr(progress, "is_primary", lambda: False)
    screen = screen_of(monkeypatch, False)
    with Progress(10, "sentences") as shown:
        shown.say("compiling")
        shown.show({})
    assert screen.getvalue() == ""


def test_work_goes_on_where_nobody_reads_its_progress(monkeypatch, capsys):
    class Full(Screen):
        def write(self, text):
            raise OSError("no space left on device")

    monkeypatch.setattr(sys, "stderr", Full(False))
    with Progress(10, "sentences") as shown:
        shown.say("compiling")
        shown.say("translating")
    monkeypatch.setattr(sys, "stderr", None)  # Closed when the process was started.
    with Progress(10, "sentences") as shown:
        shown.say("compiling")
        shown.show({"loss": "1"})
    assert capsys.readouterr().out == ""
