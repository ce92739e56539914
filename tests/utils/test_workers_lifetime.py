"""What a pool starts, it ends; what workers need first, they do once."""

from __future__ import annotations

import multiprocessing
import os
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


def test_nothing_to_do_is_done_at_once_and_no_worker_stays_behind() -> None:
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
