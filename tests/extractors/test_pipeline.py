"""Many files through one network: batches across files, failures beside them, an end when it is asked for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.extractors import pipeline
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.extractors.batching import BatchSize, adaptive_map
from music_reclass.extractors.device import Placement
from music_reclass.extractors.registry import network_kinds
from music_reclass.utils.workers import Meter
from tests.fakes.devices import always


class Network:
    """Adds one to a window; batches of up to five."""

    device = SimpleNamespace(is_cpu=True)
    placement = Placement("cpu")

    def __init__(self):
        self.batches = []

    def map(self, windows):
        def work(batch):
            self.batches.append(len(batch))
            return [window + 1 for window in batch]

        return adaptive_map(work, windows, size=always(BatchSize(5, 5)), is_oom=lambda e: False, relieve=lambda: None)


class Extractor:
    """The mean over windows; a track of sevens cannot be pooled."""

    def __init__(self):
        self.network = Network()

    def pool(self, rows):
        if rows[0, 0] == 8:
            raise FailTrack("unsupported", "seven")
        return rows.mean(axis=0)


def read(number):
    """The windows of a made-up track: as many as its number, each filled with it."""
    if number == 3:
        raise SkipTrack("silence", "it is silent")
    return np.full((number, 2), number, np.float32)


def answers(tracks, **more):
    extractor = Extractor()
    return list(pipeline.assembled(tracks, extractor, **more)), extractor.network.batches


def test_batches_are_filled_across_files_and_vectors_belong_to_their_track():
    done, batches = answers((n, read(n)) for n in (1, 2, 4, 5))
    assert [(item, vector.tolist()) for item, vector in done] == [(n, [n + 1, n + 1]) for n in (1, 2, 4, 5)]
    assert batches == [5, 5, 2]


def test_a_track_that_failed_goes_out_with_its_reason_and_harms_no_other():
    error = FailTrack("decode", "broken")
    done, _ = answers([(1, error), (2, read(2)), (7, read(7)), (9, error)])
    assert dict(done[:2])[1] is error
    assert dict(done)[9] is error
    assert dict(done)[7].reason == "unsupported"
    assert dict(done)[2].tolist() == [3, 3]


def test_nothing_but_failures_is_an_answer_too():
    error = FailTrack("decode", "broken")
    assert answers([(1, error)])[0] == [(1, error)]


def test_after_a_stop_no_track_is_begun_and_those_under_way_come():
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 2

    done, _ = answers(((n, read(n)) for n in (1, 2, 4, 5)), stop=stop)
    assert [item for item, _ in done] == [1, 2]


def test_worker_processes_read_ahead_and_every_item_has_one_answer():
    extractor = Extractor()
    items = [1, 2, 3, 4, 5, 7, 6]
    done = dict(pipeline.embed(items, read, extractor, jobs=2, timeout=60, prepare=None))
    assert sorted(done) == sorted(items)
    assert done[3].reason == "silence"
    assert done[7].reason == "unsupported"
    assert all(done[n].tolist() == [n + 1, n + 1] for n in (1, 2, 4, 5, 6))


def fed(arrivals, most, own_seconds=1.0):
    """How many workers feed a network after each track, which comes after so many seconds and takes its own."""
    workers, now, seen = [1], [0.0], []

    def tracks():
        for seconds in arrivals:
            now[0] += seconds
            yield seconds

    def grow():
        workers[0] += 1

    for _ in pipeline.growing(tracks(), lambda: workers[0] < most, grow, Meter(), clock=lambda: now[0]):
        seen.append(workers[0])
        now[0] += own_seconds
    return seen


def test_a_network_that_waits_for_windows_gets_another_worker_each_period_up_to_the_most():
    assert fed([60.0] + [0.0] * 40, most=8) == [1] * 41  # the start is no waiting
    assert fed([0.0] + [0.1] * 40, most=8)[-1] == 1  # a tenth
    slow = fed([0.0] + [1.0] * 40, most=4)
    assert slow[:12] == [1] * 5 + [2] * 5 + [3] * 2
    assert slow[-1] == 4


def test_a_network_that_does_not_wait_is_what_slows_the_work():
    def bottleneck(seconds, own_seconds):
        meter, now = Meter("GPU"), [0.0]
        meter.add(0.1, 0.0)

        def tracks():
            for _ in range(9):
                now[0] += seconds
                yield seconds

        for _ in pipeline.growing(tracks(), lambda: False, lambda: None, meter, clock=lambda: now[0]):
            now[0] += own_seconds
        return meter.bottleneck

    assert bottleneck(0.01, 1.0) == "GPU"
    assert bottleneck(1.0, 1.0) == "CPU"  # of the workers


def test_where_the_network_is_on_the_processor_each_worker_more_takes_a_core_from_it(monkeypatch):
    monkeypatch.setattr(pipeline, "PERIOD", 0.0)
    monkeypatch.setattr(pipeline, "WAITING", 0.0)
    extractor = Extractor()
    done = dict(pipeline.embed(range(4, 7), read, extractor, jobs=2, timeout=60, prepare=None))
    assert sorted(done) == [4, 5, 6]
    assert extractor.network.decoders == 2


def test_closing_early_ends_the_workers(monkeypatch):
    monkeypatch.setattr(pipeline, "AHEAD_OF_CPU", 8)
    stream = pipeline.embed(iter([1, 2, 4, 5, 6, 8]), read, Extractor(), jobs=1, timeout=60, prepare=None)
    assert next(stream)[0] == 1
    stream.close()


def test_an_error_of_the_iterator_is_raised():
    def items():
        yield 1
        raise OSError("the list broke off")

    with pytest.raises(OSError, match="broke off"):
        list(pipeline.embed(items(), read, Extractor(), jobs=1, timeout=60, prepare=None))


def test_files_go_from_disk_to_the_windows_of_their_extractor(tmp_path, monkeypatch):
    from tests.extractors import small_models

    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    small_models.install("jmla", {"any": np.zeros(1, np.float32)})
    encode(tmp_path / "tune.flac", song(seed=1, seconds=6))
    assert pipeline.read_windows(str(tmp_path / "tune.flac"), "jmla", "mid30").shape == (1, 80, 2992)
    with pytest.raises(FailTrack, match="vanished"):
        pipeline.read_windows(tmp_path / "gone.flac", "jmla", "mid30")


def test_the_kinds_with_a_network_are_opened_at_a_placement(tmp_path, monkeypatch):
    from tests.extractors import small_models

    pytest.importorskip("torch")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    small_models.install("jmla", {"any": np.zeros(1, np.float32)})
    assert network_kinds() >= {"mert", "mert-330m", "jmla"}
    opened = pipeline.network_extractor("jmla", "mid30", Placement("cpu", "", "fp32"))
    assert (opened.kind.name, opened.network.device.name, opened.network.precision) == ("jmla", "cpu", "fp32")
