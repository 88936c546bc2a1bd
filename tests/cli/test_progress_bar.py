"""What a command says while it works: bars on a terminal, lines elsewhere, nothing if quiet."""

import io
import sys
import time

import pytest

from widthwise.cli import progress_bar as module
from widthwise.cli.progress_bar import open_progress
from widthwise.progress import Progress, said_if_long


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stderr(monkeypatch):
    """Puts a stream in the place of standard error; within the test, since pytest's own comes between."""

    def replace(stream):
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return replace


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set forward."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def work(progress: Progress):
    """Two stages and a remark."""
    progress.start("theory", 3)
    progress.advance(2)
    progress.say("width 8: [1 of 3] diverged")
    progress.advance()
    progress.start("training", 2)
    progress.advance(2)


def test_lines_begin_and_end_each_stage(stderr, clock):
    stream = stderr(io.StringIO())
    with open_progress() as progress:
        work(progress)
    assert stream.getvalue().splitlines() == [
        "theory: 0/3",
        "width 8: [1 of 3] diverged",
        "theory: 3/3 in 0.0 s",
        "training: 0/2",
        "training: 2/2 in 0.0 s",
    ]


def test_long_stages_speak_every_ten_seconds_with_rate_and_time_left(stderr, clock):
    stream = stderr(io.StringIO())
    with open_progress() as progress:
        progress.start("training", 100)
        for _ in range(40):
            clock[0] += 0.5
            progress.advance(2)
    assert stream.getvalue().splitlines() == [
        "training: 0/100",
        "training: 40/100, 4/s, 15 s left",
        "training: 80/100, 4/s, 5 s left",
        "training: 80/100 in 20.0 s",
    ]


def test_before_anything_is_done_no_rate_is_made_up_and_long_times_are_in_hours(stderr, clock):
    stream = stderr(io.StringIO())
    with open_progress() as progress:
        progress.start("training", 100)
        clock[0] += 30.0
        progress.advance(0)  # as when networks diverged at once
        clock[0] += 70.0
        progress.advance(1)  # as while networks compile
        for _ in range(2):
            clock[0] += 100.0
            progress.advance(1)
    assert stream.getvalue().splitlines()[1:5] == [
        "training: 0/100, 30 s so far",
        "training: 1/100, 1 min 40 s so far",
        "training: 2/100, 0.01/s, 2 h 43 min left",
        "training: 3/100, 0.01/s, 2 h 41 min left",
    ]


def test_time_left_knows_that_wider_networks_take_longer(stderr, clock):
    """Steps of width 32 take 1 s, of 64 3 s: then those of 128 should take 9 s. Before it is measured, time
    grows as the square of the width."""
    stream = stderr(io.StringIO())
    with open_progress() as progress:
        progress.start("training", 60, [(20, 32), (20, 64), (20, 128)])
        clock[0] += 20.0
        progress.advance(20)
        clock[0] += 30.0
        progress.advance(10)
    assert [line.rpartition(", ")[2] for line in stream.getvalue().splitlines()[1:-1]] == [
        "6 min 40 s left",  # 20 (4 + 16)
        "3 min 30 s left",  # 10 x 3 + 20 x 9
    ]


def test_what_takes_long_is_said_once_and_what_is_quick_is_not(stderr):
    stream = stderr(io.StringIO())
    with open_progress() as progress:
        with said_if_long(progress, "compiling", seconds=30.0):
            pass
        with said_if_long(progress, "reading", seconds=0.001):
            while not stream.getvalue():
                pass
        with pytest.raises(KeyError), said_if_long(progress, "failing", seconds=0.05):
            raise KeyError
        time.sleep(0.1)
    assert stream.getvalue() == "reading\n"


def test_a_stage_with_nothing_to_do_takes_no_time(stderr):
    stream = stderr(io.StringIO())
    with open_progress() as progress:
        progress.start("training", 0)
    assert stream.getvalue() == "training: nothing to do\n"


def test_a_terminal_shows_a_bar_with_count_rate_and_time_left(stderr, monkeypatch):
    stream = stderr(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with open_progress() as progress:
        work(progress)
    shown = stream.getvalue()
    for part in ("theory", "3/3", "training", "2/2", "/s", "left", "━", "width 8: [1 of 3] diverged"):
        assert part in shown


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_quiet_is_quiet(stderr, kind):
    stream = stderr(kind())
    with open_progress(quiet=True) as progress:
        work(progress)
    assert stream.getvalue() == ""


def test_all_kinds_keep_the_protocol(stderr):
    for kind, quiet in ((io.StringIO, False), (Terminal, False), (Terminal, True)):
        stderr(kind())
        with open_progress(quiet) as progress:
            assert isinstance(progress, Progress)
