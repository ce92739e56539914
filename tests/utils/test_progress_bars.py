"""A bar is for one phase: it shows a rate, needs no known end, and an orderly stop leaves other threads alone."""

from __future__ import annotations

import signal
import threading
from io import StringIO

import pytest
from rich.console import Console

from music_reclass.utils.progress import Silent, StopRequest, orderly_stop, progress_bar


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    return StringIO()


def console(screen: StringIO, width: int = 100) -> Console:
    return Console(file=screen, force_terminal=True, width=width)


def test_a_phase_without_a_known_end_shows_what_is_done(screen: StringIO) -> None:
    with progress_bar("walking", None, console(screen)) as bar:
        bar.advance(1234, "Music")
    assert "walking" in screen.getvalue()
    assert "1234/?" in screen.getvalue()


def test_a_file_name_beside_the_bar_is_text_and_neither_markup_nor_a_command(screen: StringIO) -> None:
    with progress_bar("reading", 1, console(screen)) as bar:
        bar.advance(1, "a [live] [bold]\x1b[2J\n\udcff.mp3")
    assert "a [live] [bold]?[2J??.mp3" in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()


def test_a_phase_of_nothing_is_over_at_once(screen: StringIO) -> None:
    with progress_bar("writing", 0, console(screen)):
        pass
    assert "0/0" in screen.getvalue()


def test_the_last_note_replaces_the_one_before(screen: StringIO) -> None:
    with progress_bar("reading", 2, console(screen)) as bar:
        bar.advance(1, "first.mp3")
        bar.advance(1, "second.mp3")
    last = screen.getvalue().rpartition("reading")[2]
    assert "second.mp3" in last
    assert "first.mp3" not in last


def test_an_error_within_the_phase_reaches_the_caller(screen: StringIO) -> None:
    with pytest.raises(KeyError), progress_bar("reading", 2, console(screen)):
        raise KeyError("gone")


def test_silence_takes_whatever_it_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    bar = Silent()
    bar.advance()
    bar.advance(-3, "note")
    assert capfd.readouterr() == ("", "")


def test_a_stop_that_nobody_asked_for_is_none() -> None:
    assert not StopRequest()
    with orderly_stop() as stop:
        pass
    assert not stop.requested


def test_sigterm_asks_as_ctrl_c_does_and_then_both_insist() -> None:
    with orderly_stop() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_former_handlers_come_back_after_an_error_too() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="ours"), orderly_stop():
        raise ValueError("ours")
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_nobody_is_asked_and_nothing_is_installed() -> None:
    before, found = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with orderly_stop() as stop:
            found.append((bool(stop), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, True)]
