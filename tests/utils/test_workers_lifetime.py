"""What a pool starts, it ends; what workers need first, they do once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator

import pytest

from music_reclass.errors import FailTrack
from music_reclass.utils.workers import WorkerPool

_prepared: list[int] = []


def prepare() -> None:
    """Note that a worker got ready."""
    _prepared.append(os.getpid())


def describe(item: str) -> tuple[str, int, int]:
    """The item, the worker's number, and how often that worker was prepared."""
    if item == "leave":
        os._exit(7)
    return item, os.getpid(), len(_prepared)


def echo(item: object) -> object:
    """The item itself."""
    return item


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_worker_prepares_once_whoever_it_replaces_and_is_gone_with_the_pool() -> None:
    with WorkerPool(describe, jobs=1, timeout=30, prepare=prepare) as pool:
        answers = dict(pool.map(["a", "b", "leave", "c"]))
    crashed = answers.pop("leave")
    assert isinstance(crashed, FailTrack)
    assert "exit code 7" in crashed.detail
    workers = set()
    for item, answer in answers.items():
        assert not isinstance(answer, FailTrack)
        name, process, times = answer  # type: ignore[misc]
        assert (name, times) == (item, 1)
        workers.add(process)
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert not any(map(alive, workers))


class Signalled(WorkerPool[str, object]):
    """Each worker gets the signal as soon as it exists, long before it can take precautions."""

    number: int

    def _start(self):  # type: ignore[no-untyped-def]
        worker = super()._start()
        assert worker.process.pid is not None
        os.kill(worker.process.pid, self.number)
        return worker


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="the signals of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGTERM"])
def test_a_signal_for_all_processes_harms_no_worker_not_even_one_that_just_starts(name: str) -> None:
    with Signalled(echo, jobs=1, timeout=30) as pool:
        pool.number = getattr(signal, name)
        worker = pool._start()
        assert dict(pool.map(["before"])) == {"before": "before"}
        assert worker.process.pid is not None
        os.kill(worker.process.pid, pool.number)
        assert dict(pool.map(["after"])) == {"after": "after"}
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT, signal.SIGHUP, signal.SIGTERM}


def test_several_functions_have_a_worker_each_and_what_a_lost_one_held_comes_back_with_the_reason() -> None:
    with WorkerPool([describe, describe], jobs=2, timeout=30, ahead=2) as pool:
        answers = list(pool.map(["a", "b", "leave", "c", "d"]))
        assert sorted(item for item, _ in answers) == ["a", "b", "c", "d", "leave"]
        lost = {item: answer for item, answer in answers if isinstance(answer, FailTrack)}
        assert "leave" in lost
        assert all("exit code 7" in answer.detail for answer in lost.values())
        assert pool.has_workers
        assert len(multiprocessing.active_children()) == 1
        assert [item for item, _ in pool.map(["leave"])] == ["leave"]
        assert not pool.has_workers
        assert list(pool.map(["nobody is left"])) == []


def test_a_pool_with_nothing_to_do_starts_no_worker() -> None:
    with WorkerPool(echo, jobs=4, timeout=30) as pool:
        assert list(pool.map([])) == []
        assert multiprocessing.active_children() == []


def test_a_pool_serves_a_second_list_and_takes_items_as_they_come() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            drawn.append(number)
            yield number

    with WorkerPool(echo, jobs=0, timeout=30) as pool:  # never fewer than one worker
        answers = pool.map(items())
        assert drawn == []  # nothing is drawn before somebody asks
        assert next(answers) == (0, 0)
        assert drawn == [0]
        assert list(answers) == [(1, 1), (2, 2)]
        assert dict(pool.map(["again"])) == {"again": "again"}


def test_a_variable_that_was_not_set_stays_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    with WorkerPool(echo, jobs=1, timeout=30) as pool:
        assert dict(pool.map([None])) == {None: None}
        assert "NUMBA_NUM_THREADS" not in os.environ
