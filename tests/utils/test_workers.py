"""The pool answers for every item, whatever the worker does."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from music_reclass import config
from music_reclass.errors import FailTrack, SkipTrack, TrackError
from music_reclass.utils.workers import Meter, WorkerPool, network_threads


def act(order: str) -> str:
    """What the tests ask of a worker."""
    if order == "hang":
        time.sleep(60)
    if order == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if order == "leave":
        os._exit(3)
    if order == "huge":
        bytearray(2**30)
    if order == "skip":
        raise SkipTrack("silence", "nothing to hear")
    if order.startswith("wait for "):
        while not os.path.exists(order[9:]):
            time.sleep(0.01)
    if order.startswith("make "):
        Path(order[5:]).touch()
    if order == "sleep":
        time.sleep(0.05)
    if order == "compute":
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
    if order == "bug":
        raise IndexError("off by one")
    return order.upper()


def test_every_item_comes_back_once_with_its_own_result() -> None:
    items = [f"item{number}" for number in range(25)]
    with WorkerPool(act, jobs=2, timeout=30) as pool:
        answers = dict(pool.map(items))
    assert answers == {item: item.upper() for item in items}


@pytest.mark.parametrize("ahead", [1, 3])
def test_a_crash_costs_one_item(ahead: int) -> None:
    with WorkerPool(act, jobs=1, timeout=30, ahead=ahead) as pool:
        answers = dict(pool.map(["a", "crash", "b", "leave", "c"]))
    assert [answers[item] for item in ("a", "b", "c")] == ["A", "B", "C"]
    for item in ("crash", "leave"):
        answer = answers[item]
        assert isinstance(answer, FailTrack)
        assert answer.reason == "crashed"


def test_an_item_that_waits_behind_a_long_one_goes_to_a_worker_that_has_none(tmp_path: Path) -> None:
    mark = tmp_path / "made"
    items = [f"wait for {mark}", "a", f"make {mark}", "b"]  # the third waits in the worker that waits for it
    with WorkerPool(act, jobs=2, timeout=20, ahead=2) as pool:
        answers = list(pool.map(items))
    assert sorted(answers) == sorted((item, item.upper()) for item in items)


@pytest.mark.parametrize(("order", "bottleneck"), [("sleep", "disk"), ("compute", "CPU")])
def test_a_pool_measures_what_its_workers_wait_for(order: str, bottleneck: str) -> None:
    meter = Meter()
    with WorkerPool(act, jobs=1, timeout=30, meter=meter) as pool:
        assert dict(pool.map(["first"])) == {"first": "FIRST"}
        assert meter.bottleneck == ""
        list(pool.map([order] * 3))
    assert meter.bottleneck == bottleneck


def test_the_bottleneck_is_the_network_unless_it_waits_for_its_workers() -> None:
    meter = Meter("GPU")
    meter.add(1.0, 3.0)
    assert meter.bottleneck == "disk"
    meter.add(1.0, 0.05, of_network=True)
    assert meter.bottleneck == "GPU"
    meter.add(1.0, 4.0, of_network=True)
    assert meter.bottleneck == "disk"
    for _ in range(200):  # what was long ago counts little
        meter.add(1.0, 0.5)
    assert meter.bottleneck == "CPU"


def test_a_hang_is_cut_off_and_costs_one_item() -> None:
    with WorkerPool(act, jobs=1, timeout=1) as pool:
        answers = dict(pool.map(["warm", "hang", "after"]))
    hung = answers["hang"]
    assert isinstance(hung, FailTrack)
    assert hung.reason == "timeout"
    assert answers["after"] == "AFTER"


@pytest.mark.parametrize(("order", "kind", "reason"), [("skip", SkipTrack, "silence"), ("bug", FailTrack, "bug")])
def test_what_a_worker_raises_is_the_result_of_its_item(order: str, kind: type[TrackError], reason: str) -> None:
    with WorkerPool(act, jobs=1, timeout=30) as pool:
        ((item, answer),) = pool.map([order])
    assert item == order
    assert isinstance(answer, kind)
    assert answer.reason == reason


def threads(_: str) -> str:
    return os.environ["OMP_NUM_THREADS"]


def test_workers_use_one_thread_and_the_parent_keeps_its_own_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with WorkerPool(threads, jobs=1, timeout=30) as pool:
        assert dict(pool.map(["x"])) == {"x": "1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(
    ("cores", "decoders", "threads"),
    [(1, 1, 1), (2, 1, 2), (3, 1, 2), (4, 1, 3), (16, 1, 15), (16, 6, 10), (4, 4, 2), (64, 1, 16)],
)
def test_a_network_has_the_cores_that_workers_leave_it(
    cores: int, decoders: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(config, "usable_cores", lambda: cores)
    assert network_threads(decoders) == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")  # for nested regions too
    assert network_threads(decoders) == 5


def test_ending_the_items_ends_the_run_in_order() -> None:
    answers = []
    stopped = False

    def items() -> "object":
        for number in range(1000):
            if stopped:
                return
            yield f"i{number}"

    with WorkerPool(act, jobs=2, timeout=30) as pool:
        for item, _ in pool.map(items()):  # type: ignore[arg-type]
            answers.append(item)
            stopped = len(answers) >= 5
    assert 5 <= len(answers) <= 7
    assert len(set(answers)) == len(answers)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit holds on Linux only")
def test_an_item_that_needs_too_much_memory_costs_itself_alone() -> None:
    with WorkerPool(act, jobs=1, timeout=60, memory=512 * 2**20) as pool:
        answers = dict(pool.map(["before", "huge", "after"]))
    huge = answers["huge"]
    assert isinstance(huge, FailTrack)
    assert huge.reason == "memory"
    assert (answers["before"], answers["after"]) == ("BEFORE", "AFTER")
