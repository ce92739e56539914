"""Features of a data set are extracted once, resumably, and files that cannot be used are left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from music_reclass.config import Settings
from music_reclass.errors import NothingToDo
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.dataset import fma518
from music_reclass.training.extraction import Extraction, Step, extract_files, extract_tracks
from music_reclass.utils.progress import Progress, StopRequest


def test_each_file_is_read_once_and_bad_ones_are_left_out(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.flac", tmp_path / "bad.mp3"
    encode(good, song(seed=1, seconds=5))
    file = FLAC(good)
    file["artist"] = "Good"
    file.save()
    bad.write_bytes(b"no audio at all" * 100)
    database = Database(tmp_path / "data.sqlite3")
    paths, kinds, settings = [str(good), str(bad), str(tmp_path / "gone.mp3")], (fma518("mid30"),), Settings(jobs=1)

    found = extract_files(database, paths, kinds, Extraction(settings, StopRequest()))
    good_status = good.stat()
    good.write_bytes(b"x" * good_status.st_size)  # a second reading would fail
    os.utime(good, ns=(good_status.st_atime_ns, good_status.st_mtime_ns))
    again = extract_files(database, paths, kinds, Extraction(settings, StopRequest()))

    assert list(found) == [str(good)] == list(again)
    track = found[str(good)]
    assert track.vector is not None
    assert track.vector.shape == (518,)
    assert track.tags.artist == "Good"


def test_a_stopped_extraction_gives_no_half_data_set(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    encode(path, song(seed=1, seconds=5))
    stop = StopRequest()
    stop.requested = True

    database, kinds = Database(tmp_path / "d.sqlite3"), (fma518("mid30"),)
    with pytest.raises(NothingToDo, match="goes on from here"):
        extract_files(database, [str(path)], kinds, Extraction(Settings(jobs=1), stop))


def test_vectors_of_another_kind_join_the_known_tracks_and_are_extracted_once(tmp_path: Path) -> None:
    tune = tmp_path / "tune.flac"
    encode(tune, song(seed=1, seconds=5))
    database, settings, full = Database(tmp_path / "data.sqlite3"), Settings(jobs=1), fma518("full")
    extract_files(database, [str(tune)], (fma518("mid30"),), Extraction(settings, StopRequest()))
    ((track, _),) = Library(database).paths(range(5)).items()

    extract_tracks(database, [track, 99], [full], Extraction(settings, StopRequest()))
    assert Library(database).vectors([track], full)[track].shape == (518,)
    tune.unlink()
    extract_tracks(database, [track], [full], Extraction(settings, StopRequest()))  # nothing is read
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(NothingToDo, match="goes on from here"):
        extract_tracks(database, [track], [full], Extraction(settings, stop))


class Work:
    """Steps on a clock of their own: each key takes `seconds`, those of `broken` in vain."""

    def __init__(self, *seconds: float, broken: frozenset[int] = frozenset()) -> None:
        self.now, self.broken = 0.0, broken
        self.done: list[set[int]] = [set() for _ in seconds]
        self.tried: list[list[int]] = [[] for _ in seconds]
        self.said: list[str] = []
        self.asked: list[str] = []
        self.steps = [
            Step(f"kind{place}", self.lacking(place), self.run(place, each), lambda: "the processor")
            for place, each in enumerate(seconds)
        ]

    def lacking(self, place: int) -> Callable[[Sequence[int]], list[int]]:
        return lambda keys: [key for key in keys if key not in self.done[place]]

    def run(self, place: int, each: float) -> Callable[[Sequence[int], Callable[[], bool], Progress], list[int]]:
        def do(keys: Sequence[int], stop: Callable[[], bool], progress: Progress) -> list[int]:
            reached = []
            for key in keys:
                if stop():
                    break
                self.now += each
                reached.append(key)
                progress.advance()
            self.tried[place] += reached
            self.done[place] |= set(reached) - self.broken
            return reached

        return do

    def extraction(self, seconds: float | None = None, *, answer: bool = True) -> Extraction:
        def ask(question: str) -> bool:
            self.asked.append(question)
            return answer

        return Extraction.lasting(
            seconds, Settings(), StopRequest(), log=self.said.append, ask=ask, clock=lambda: self.now
        )


def test_the_first_tracks_tell_how_long_it_takes_and_are_kept() -> None:
    work = Work(2.0, 0.5)

    work.extraction().run(range(3000), work.steps)

    assert [sorted(tried) for tried in work.tried] == [list(range(3000))] * 2  # each once, in spite of the measuring
    (line,) = work.said
    assert line.startswith("about 2 h for 2,99")
    assert "kind0 2 s a track on the processor, kind1 0.5 s a track" in line
    assert "--sample 1000 would take about 41 min; --max-time stops it in order" in line
    assert len(work.asked) == 1


def test_nobody_is_asked_about_less_than_an_hour_and_nothing_is_said_of_a_minute() -> None:
    work = Work(2.0)
    work.extraction().run(range(1000), work.steps)
    assert (len(work.said), work.asked) == (1, [])

    short = Work(0.05)
    short.extraction().run(range(1000), short.steps)
    assert (short.said, short.asked) == ([], [])
    assert len(short.done[0]) == 1000


def test_who_would_not_wait_keeps_what_was_measured() -> None:
    work = Work(10.0)

    with pytest.raises(NothingToDo, match=r"is kept\. It goes on from here with the same command"):
        work.extraction(answer=False).run(range(3000), work.steps)

    assert 3 <= len(work.done[0]) <= 5


def test_time_is_shared_so_that_the_same_tracks_have_all_their_vectors() -> None:
    work = Work(3.0, 1.0)
    extraction = work.extraction(600.0)

    extraction.run(range(1000), work.steps)

    assert extraction.is_short
    assert work.now == pytest.approx(600.0, abs=10)
    assert work.done[0] == work.done[1] == set(range(len(work.done[0])))
    assert len(work.done[0]) == pytest.approx(150, abs=4)
    assert "--max-time stops it in order after 10 min, with about 1" in work.said[0]
    assert work.asked == []  # ten minutes are no hour, however much is left

    work.extraction().run(range(1000), work.steps)
    assert [sorted(tried) for tried in work.tried] == [list(range(1000))] * 2


def test_time_that_ends_while_it_is_measured_begins_nothing_more() -> None:
    work = Work(30.0, 30.0)
    extraction = work.extraction(45.0)

    extraction.run(range(100), work.steps)

    assert extraction.is_short
    assert len(work.done[0]) + len(work.done[1]) <= 3


def test_a_track_that_fails_is_tried_once() -> None:
    work = Work(1.0, broken=frozenset({1, 7, 70}))
    extraction = work.extraction(1000.0)

    extraction.run(range(100), work.steps)

    assert sorted(work.tried[0]) == list(range(100))
    assert not extraction.is_short


def test_a_network_that_loads_for_long_does_not_make_the_estimate_longer() -> None:
    work = Work(0.5)
    first = work.steps[0].run

    def loading(keys: Sequence[int], stop: Callable[[], bool], progress: Progress) -> object:
        work.now += 60.0 if not work.done[0] else 0.0
        return first(keys, stop, progress)

    work.extraction().run(range(1000), [work.steps[0]._replace(run=loading)])

    assert "kind0 0.5 s a track" in work.said[0]


def test_vectors_of_one_batch_are_no_measure_of_speed_but_a_bound() -> None:
    work = Work(0.0)
    first = work.steps[0].run

    def together(keys: Sequence[int], stop: Callable[[], bool], progress: Progress) -> object:
        work.now += 20.0
        return first(keys, stop, progress)

    work.extraction().run(range(1000), [work.steps[0]._replace(run=together)])

    assert "kind0 0.5 s a track" in work.said[0]  # forty came after twenty seconds


def test_files_are_read_in_the_order_of_the_sample_and_time_ends_it(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.flac") for number in (2, 1, 0)]
    for number, path in enumerate(paths):
        encode(Path(path), song(seed=number, seconds=5))
    database, settings = Database(tmp_path / "data.sqlite3"), Settings(jobs=1)
    times = iter([0.0, 0.0])
    extraction = Extraction.lasting(1.0, settings, StopRequest(), clock=lambda: next(times, 2.0))

    found = extract_files(database, paths, (fma518("mid30"),), extraction)

    assert extraction.is_short
    assert len(found) < 3
    assert extract_files(database, paths, (fma518("mid30"),), Extraction(settings, StopRequest())).keys() == set(paths)


def test_no_vector_of_a_network_is_made_twice_whatever_ended_the_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from music_reclass.extractors import mert
    from tests.extractors import small_models

    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(mert, "BASE", small_models.VARIANT)
    kinds = (fma518("mid30"), small_models.small_mert().kind)
    made: list[str] = []
    real = mert.Mert.pool
    monkeypatch.setattr(mert.Mert, "pool", lambda self, rows: made.append(self.kind.name) or real(self, rows))
    paths = [str(tmp_path / f"{number}.wav") for number in range(5)]
    for number, path in enumerate(paths):
        encode(Path(path), song(seed=number, seconds=5.2))
    database, settings = Database(tmp_path / "d.sqlite3"), Settings(jobs=1, device="cpu", precision="fp32")
    late = Extraction.lasting(2.0, settings, StopRequest(), clock=lambda: float(len(made)))

    some = extract_files(database, paths, kinds, late)
    whole = extract_files(database, paths, kinds, Extraction(settings, StopRequest()))

    assert late.is_short
    assert list(some) == paths[: len(some)]
    assert 2 <= len(some) < 5
    assert len(made) == 5
    assert [track.vector.shape for track in whole.values() if track.vector is not None] == [(518 + 32,)] * 5
