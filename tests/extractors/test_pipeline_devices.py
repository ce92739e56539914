"""Several devices, a process each: every track once, whatever becomes of a device. Real processes, made-up networks."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from music_reclass.errors import DeviceError, SkipTrack, TrackError, UsageError
from music_reclass.extractors import pipeline
from music_reclass.extractors.batching import BatchSize, OutOfMemory, adaptive_map
from music_reclass.extractors.device import Placement
from tests.fakes.devices import always

BROKEN = 3  # a track that cannot be read
CURSED = 7  # a track with which a device comes to grief
CRASHES, HANGS = 1001, 1002  # tracks with which a decoder does


class Network:
    """Gives each window plus one; in the way that RECLASS_TEST_WAY says, a cursed window ends it."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.device = SimpleNamespace(is_cpu=True)
        self.chunked = 0

    def map(self, windows):
        def work(batch):
            if any(window[0] == CURSED for window in batch):
                come_to_grief()
            self.chunked += len(batch)
            return [window + 1 for window in batch]

        return adaptive_map(work, windows, size=always(BatchSize(4, 4)), is_oom=lambda e: False, relieve=lambda: None)


def come_to_grief() -> None:
    way, once = os.environ.get("TEST_WAY"), os.environ.get("TEST_ONCE")
    if once and way:
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return
    if way == "crash":
        os._exit(9)
    if way == "bug":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if way == "memory":
        raise OutOfMemory("not even one window fits")
    if way == "hang":
        time.sleep(60)


class Extractor:
    """The mean over windows, and which process computed it."""

    def __init__(self, placement: Placement) -> None:
        self.network = Network(placement)
        self.kind = SimpleNamespace(name="made-up", excerpt="mid30")

    def pool(self, rows):
        return np.append(rows.mean(axis=0), os.getpid())


def opened(kind: str, excerpt: str, placement: Placement) -> Extractor:
    assert (kind, excerpt) == ("made-up", "mid30")
    assert "," not in placement.device
    return Extractor(Placement("cpu"))  # no torch is asked for a card


def read(number: int) -> np.ndarray:
    if number == BROKEN:
        raise SkipTrack("silence", "it is silent")
    if number == CRASHES:
        os._exit(5)
    if number == HANGS:
        Path(os.environ["TEST_HANGS"]).touch()
        time.sleep(60)
    return np.full((1 + number % 5, 2), number, np.float32)


def spread(tracks, devices="cpu,cpu", stop=lambda: False, timeout=60):
    return pipeline.embed(
        tracks, read, Extractor(Placement(devices)), jobs=1, timeout=timeout, prepare=None, stop=stop,
        open_network=opened,
    )  # fmt: skip


def check(done: list, tracks) -> set[int]:
    """Every track has one answer, its own; the processes that gave them."""
    assert sorted(number for number, _ in done) == sorted(tracks)
    answers = dict(done)
    for track, reason in ((BROKEN, "silence"), (CRASHES, "crashed"), (HANGS, "timeout")):
        if track in answers:
            assert answers.pop(track).reason == reason
    assert all(vector[:2].tolist() == [number + 1, number + 1] for number, vector in answers.items())
    return {int(vector[2]) for vector in answers.values()}


@pytest.fixture(autouse=True)
def hangs(tmp_path, monkeypatch):
    """Where a decoder notes that it hangs."""
    monkeypatch.setenv("TEST_HANGS", str(tmp_path / "hangs"))


@pytest.fixture
def cards(monkeypatch):
    """A list of cards that nobody looks for."""
    monkeypatch.setattr(pipeline, "_require", lambda placements: None)
    monkeypatch.setattr(pipeline, "GROUP", 8)
    return "cuda:0,cuda:1"


@pytest.mark.parametrize("list_of", ["processors", "cards"])
def test_two_devices_share_the_tracks_and_each_track_has_its_one_answer(list_of, cards):
    tracks = range(40)
    devices = "cpu,cpu" if list_of == "processors" else cards
    stream = spread(tracks, devices)
    done = list(stream)
    processes = check(done, tracks)
    assert os.getpid() not in processes
    assert len(processes) == 2
    assert multiprocessing.active_children() == []
    alone = dict(pipeline.assembled(((n, read(n)) for n in tracks if n != BROKEN), Extractor(Placement("cpu"))))
    assert all(np.array_equal(alone[n][:2], vector[:2]) for n, vector in done if n != BROKEN)


@pytest.mark.parametrize("way", ["crash", "bug", "memory", "hang"])
def test_what_a_device_held_that_failed_is_computed_by_the_other(way, cards, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_WAY", way)
    monkeypatch.setenv("TEST_ONCE", str(tmp_path / "once"))
    tracks = range(30)
    if way == "hang":  # on processors both have computed something, and are past the time to start, when it comes
        monkeypatch.setattr(pipeline, "PATIENCE", 0.02)
    processes = check(list(spread(tracks, "cpu,cpu" if way == "hang" else cards)), tracks)
    assert len(processes) in (1, 2)  # the one that failed may have computed some before
    assert (tmp_path / "once").exists()


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu"])
def test_whatever_fails_at_once_every_track_has_one_answer_and_its_own(devices, tmp_path, monkeypatch):
    if devices != "cpu":
        monkeypatch.setenv("TEST_WAY", "crash")
        monkeypatch.setenv("TEST_ONCE", str(tmp_path / "once"))
    tracks = [*range(5), CRASHES, *range(5, 10), HANGS, *range(10, 15)]
    check(list(spread(tracks, devices, timeout=2)), tracks)
    assert (tmp_path / "once").exists() == (devices != "cpu")
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("way", "kind", "words"),
    [
        ("crash", DeviceError, r"No device of cpu,cpu is left .*crashed .*--device cpu"),
        ("bug", DeviceError, "No device of cpu,cpu is left .*illegal memory access"),
        ("memory", OutOfMemory, "not even one window fits"),
    ],
)
def test_where_no_device_is_left_the_error_has_its_type_and_what_was_done_came(way, kind, words, monkeypatch):
    monkeypatch.setenv("TEST_WAY", way)
    done: list = []
    with pytest.raises(kind, match=words):
        done.extend(spread(range(20)))  # one by one
    check(done, {number for number, _ in done})
    assert {number for number, _ in done} >= {0, 1, 2}
    assert CURSED not in dict(done)
    assert multiprocessing.active_children() == []


def test_after_a_stop_no_track_is_begun_and_those_under_way_come():
    done = []
    for answer in spread(range(1000), stop=lambda: len(done) >= 5):
        done.append(answer)
    numbers = [number for number, _ in done]
    assert 5 <= len(numbers) <= 12
    check(done, set(numbers))
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu"])
def test_a_stop_does_not_wait_for_a_file_that_hangs(devices, tmp_path):
    start = time.monotonic()
    tracks = [1, HANGS, *range(4, 1000)]
    done = list(spread(tracks, devices, stop=(tmp_path / "hangs").exists, timeout=1000))
    assert {number for number, _ in done} <= {1}
    assert time.monotonic() - start < 50  # the file takes a minute
    assert multiprocessing.active_children() == []


def test_closing_early_ends_every_process():
    stream = spread(range(1000))
    assert not isinstance(next(stream)[1], TrackError)
    stream.close()
    assert multiprocessing.active_children() == []


def test_windows_that_were_computed_in_chunks_are_counted_together():
    extractor = Extractor(Placement("cpu,cpu"))
    tracks = [n for n in range(10) if n != BROKEN]
    list(pipeline.embed(tracks, read, extractor, jobs=1, timeout=60, prepare=None, open_network=opened))
    assert extractor.network.chunked == sum(len(read(n)) for n in tracks)


@pytest.mark.parametrize(
    "devices", ["cuda:0,", "cuda,cuda:1", "cuda:0,cuda:0", "auto,cpu", "cpu,cuda:0", ",", "cpu,gpu"]
)
def test_a_list_that_makes_no_sense_is_refused_with_the_way_to_write_it(devices):
    with pytest.raises(UsageError, match=r"is no list of devices; write cards once each .* cuda:0,cuda:1"):
        Placement(devices)


def test_a_list_has_a_placement_for_each_device_with_the_same_limits():
    assert Placement("cuda:0, cuda:1", "4GiB", "fp16").each == [
        Placement("cuda:0", "4GiB", "fp16"), Placement("cuda:1", "4GiB", "fp16"),
    ]  # fmt: skip
    assert Placement("auto").each == [Placement("auto")]


def test_a_card_that_is_not_there_is_named_before_anything_starts():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    with pytest.raises(UsageError, match="There is no device 'cuda:0' here, only cpu; see reclass doctor gpu"):
        next(spread([1], "cuda:0,cuda:1"))
    assert multiprocessing.active_children() == []
