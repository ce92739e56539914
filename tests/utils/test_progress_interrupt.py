"""Ctrl-C once asks, twice insists."""

import os
import signal

import pytest

from music_reclass.utils.progress import orderly_stop, waiting_for_answer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_a_question(number: int) -> None:
    with orderly_stop() as stop:
        with pytest.raises(KeyboardInterrupt), waiting_for_answer():
            signal.raise_signal(number)
        assert stop
    with orderly_stop() as stop:
        with waiting_for_answer():
            pass
        signal.raise_signal(number)
        assert stop


def test_the_first_signal_asks_and_the_second_insists() -> None:
    with orderly_stop() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_former_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with orderly_stop():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_closed_terminal_asks_too() -> None:
    with orderly_stop() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop


def test_under_nohup_a_closed_terminal_does_not_count() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with orderly_stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_request_within_a_block_is_one_to_the_blocks_around_it() -> None:
    with orderly_stop() as outer:
        with orderly_stop() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner
        assert outer
        with orderly_stop() as late:
            assert late
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
    with orderly_stop() as stop:
        assert not stop
