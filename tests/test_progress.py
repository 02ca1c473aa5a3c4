"""Long work shows how far it is: a bar on a terminal, elsewhere a line a minute."""

import io
import logging
import threading
import warnings
from types import SimpleNamespace

import pytest

from skfau import _progress
from skfau._progress import Progress, shown, tell


class Screen(io.StringIO):
    """A terminal, which counts how often a bar is drawn."""

    def isatty(self):
        return True

    @property
    def looks(self):
        return [look for look in self.getvalue().split("\r") if "|" in look]


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test turns: ``clock[0]`` are seconds."""
    hands = [0.0]
    monkeypatch.setattr(_progress, "_told", {})
    monkeypatch.setattr(_progress, "clock", lambda: hands[0])
    return hands


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=screen))
    return screen


def work(clock, seconds, each=0.25, verbose=True, done=0):
    """Work through so many seconds, a step after each part of one."""
    n = round(seconds / each)
    shown = "Working", done + n, "rows", "skfau.faces", verbose
    with Progress(*shown, done=done) as progress:
        for _ in range(n):
            clock[0] += each
            progress.update()


def test_a_bar_is_drawn_once_a_second(clock, screen):
    work(clock, 30)
    # First after three seconds; drawn when it is made, and twice at the end.
    assert 28 <= len(screen.looks) <= 31
    assert "Working: 100%" in screen.looks[-1]
    assert "120/120" in screen.looks[-1]
    assert screen.getvalue().endswith("\n")


def test_a_bar_counts_from_where_it_goes_on(clock, screen):
    work(clock, 10, each=1, done=90)
    assert "100/100" in screen.looks[-1]
    assert "Working:  93%" in screen.looks[1]


def test_short_work_shows_nothing(clock, screen, caplog):
    caplog.set_level("INFO")
    work(clock, 2.75)
    assert not screen.getvalue()
    assert not caplog.records


def test_a_log_gets_a_line_a_minute(clock, caplog, capsys):
    caplog.set_level("INFO", logger="skfau")
    work(clock, 200, verbose=False)
    assert [record.name for record in caplog.records] == ["skfau.faces"] * 4
    assert caplog.messages[0] == "Working: 240 of 800 rows in 0:01:00, 0:02:20 left"
    assert caplog.messages[-1] == "Working: 800 of 800 rows in 0:03:20"
    assert capsys.readouterr() == ("", "")


def test_a_thousand_short_works_fill_no_log(clock, caplog):
    caplog.set_level("INFO")
    for _ in range(20):
        work(clock, 12)
    assert len(caplog.records) == 4


def test_work_inside_of_other_work_is_told_beside_it(clock, caplog):
    caplog.set_level("INFO")
    with Progress("Fitting", 9, "batches", "skfau.estimators._training") as outer:
        for _ in range(9):
            work(clock, 20)
            outer.update()
    told = [message.split(":")[0] for message in caplog.messages]
    assert told.count("Working") == 3
    assert told.count("Fitting") == 3


def test_commands_show_a_bar_on_a_terminal(clock, screen):
    with shown():
        work(clock, 100, verbose=False)
    assert "Working: 100%" in screen.looks[-1]
    assert "in 0:01:" not in screen.getvalue()


def test_commands_show_progress_without_verbose(clock, capsys):
    with shown():
        work(clock, 100, verbose=False)
    assert len(capsys.readouterr().err.splitlines()) == 2
    work(clock, 100, verbose=False)
    assert not capsys.readouterr().err


def test_a_line_has_the_note(clock, caplog):
    caplog.set_level("INFO")
    with Progress("Fitting", 2, "batches", "skfau.estimators._base") as progress:
        clock[0] = 61
        progress.note = "epoch 1, train_loss 0.500"
        progress.update()
    assert caplog.messages[0] == (
        "Fitting: 1 of 2 batches in 0:01:01, 0:01:01 left, epoch 1, train_loss 0.500"
    )


def test_work_of_unknown_length_is_counted(clock, caplog):
    caplog.set_level("INFO")
    with Progress("Watching", None, "frames", "skfau.cli._camera") as progress:
        clock[0] = 3700
        progress.update(90_000)
    assert caplog.messages[-1] == "Watching: 90,000 frames in 1:01:40"


@pytest.mark.parametrize("verbose", [False, True])
def test_without_a_terminal_lines_go_to_standard_error_on_request(
    clock, capsys, verbose
):
    work(clock, 200, verbose=verbose)
    out, err = capsys.readouterr()
    assert not out
    assert len(err.splitlines()) == 4 * verbose


def test_a_line_is_not_said_twice(clock, caplog, capsys):
    caplog.set_level("INFO")
    work(clock, 200)
    assert len(caplog.records) == 4
    assert not capsys.readouterr().err


def test_a_log_is_written_beside_a_bar(clock, screen, caplog):
    caplog.set_level("INFO")
    work(clock, 70)
    assert len(caplog.records) == 2
    assert screen.looks
    assert "in 0:01:00" not in screen.getvalue()


def test_an_error_closes_the_bar_and_says_where_it_came(clock, screen, caplog):
    caplog.set_level("INFO")
    with (
        pytest.raises(OSError, match="disk"),
        Progress("Writing", 100, "rows", "skfau.faces", True) as progress,
    ):
        clock[0] = 9
        progress.update(40)
        raise OSError("disk is full")
    assert caplog.messages == ["Writing: 40 of 100 rows in 0:00:09, stopped"]
    assert "40/100" in screen.looks[-1]
    assert screen.getvalue().endswith("\n")
    assert not progress._bar._instances


def test_a_bar_inside_a_bar_goes_when_it_is_full(clock, screen):
    with Progress("Outer", 2, "folds", "skfau.faces", True) as outer:
        for _ in range(2):
            work(clock, 5)
            outer.update()
    assert "Working" in screen.getvalue()
    last = screen.getvalue().rstrip("\n").split("\r")[-1]
    assert last.startswith("Outer: 100%")


def test_a_worker_draws_no_bar(clock, screen):
    thread = threading.Thread(target=work, args=(clock, 100))
    thread.start()
    thread.join()
    assert not screen.looks
    assert len(screen.getvalue().splitlines()) == 2


def test_a_worker_process_draws_no_bar(clock, screen, monkeypatch):
    monkeypatch.setattr(_progress.multiprocessing, "parent_process", lambda: 1)
    work(clock, 100)
    assert not screen.looks


def test_a_notebook_shows_a_bar_without_a_warning(clock, monkeypatch):
    cell = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=cell))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        work(clock, 10)
    assert "Working: 100%" in cell.getvalue()


def test_a_line_is_told_to_both_on_a_terminal(screen, caplog):
    caplog.set_level("INFO")
    tell("fold 2", "skfau.protocols._run", True)
    assert caplog.record_tuples == [("skfau.protocols", logging.INFO, "fold 2")]
    assert screen.getvalue() == "fold 2\n"


def test_a_process_without_standard_error_works(clock, monkeypatch):
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=None))
    work(clock, 100)


def test_no_logger_is_set_up():
    assert not logging.getLogger("skfau").handlers
    assert logging.getLogger("skfau").level == logging.NOTSET
