"""Frames on a grid of milliseconds are put back on their samples, and collected from where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from music_reclass.errors import FailTrack
from music_reclass.extractors.audio.pyav import Collector, Source
from music_reclass.extractors.audio.synthesis import encode, song


@pytest.fixture
def source(tmp_path: Path) -> Source:
    encode(tmp_path / "song.flac", song(seed=1, seconds=2.0))
    return Source((tmp_path / "song.flac").open("rb"), "flac")


def frame(pts: int | None, samples: int) -> SimpleNamespace:
    return SimpleNamespace(pts=pts, samples=samples)


def audio_frame(values: np.ndarray, form: str = "s16p", layout: str = "stereo", rate: int = 44100) -> object:
    import av

    made = av.AudioFrame.from_ndarray(values, format=form, layout=layout)
    made.sample_rate = rate
    return made


def test_positions_in_samples_are_taken_as_they_are(source: Source) -> None:
    source.rate = 44100
    source._stream = SimpleNamespace(time_base=Fraction(1, 44100))
    assert source.position(frame(5000, 4608), frame(100, 4608)) == 4900


@pytest.mark.parametrize("index", [1, 17, 1000])
def test_positions_in_milliseconds_snap_to_whole_frames(source: Source, index: int) -> None:
    source.rate = 44100
    source._stream = SimpleNamespace(time_base=Fraction(1, 1000))
    true = 47 + index * 1152  # the first frame was trimmed to 47 samples
    stamp = round(true * 1000 / 44100)
    assert source.position(frame(stamp, 1152), frame(0, 47)) == true


def test_a_frame_without_a_time_stamp_has_no_position(source: Source) -> None:
    assert source.position(frame(None, 1), frame(0, 1)) is None


def test_the_announced_length_is_in_seconds_and_counting_agrees(source: Source) -> None:
    assert source.length == pytest.approx(2.0)
    assert source.count() == pytest.approx(2.0)


def a_frame(channels: int, planar: bool = True, rate: int = 44100) -> SimpleNamespace:
    layout, form = SimpleNamespace(nb_channels=channels), SimpleNamespace(name="fltp", is_planar=planar)
    return SimpleNamespace(sample_rate=rate, layout=layout, format=form)


def test_frames_that_do_not_fit_the_first_are_left_out(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    good, wide, packed, fast = a_frame(2), a_frame(40), a_frame(40, planar=False), a_frame(2, rate=96000)
    packet = SimpleNamespace(decode=lambda: [good, wide, packed, fast, good])
    monkeypatch.setattr(source, "_packets", lambda: iter([packet]))
    assert list(source.frames()) == [good, packed, good]  # forty planes crash PyAV
    assert source.damaged


def test_a_stream_that_gives_no_sound_is_left_in_the_end(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless() -> Iterator[SimpleNamespace]:
        while True:
            yield SimpleNamespace(decode=list)

    monkeypatch.setattr(source, "_packets", endless)
    assert list(source.frames()) == []
    assert source.damaged


def test_a_container_that_breaks_off_for_ever_is_left_in_the_end(source: Source) -> None:
    class Broken:
        def demux(self, stream: object) -> Iterator[object]:
            raise IndexError
            yield

    source._container = Broken()
    assert list(source.frames()) == []
    assert source.damaged


def test_what_is_to_be_skipped_is_skipped_across_frames() -> None:
    collector = Collector(skip=150, wanted=100)
    ramp = np.arange(400, dtype=np.int16).reshape(4, 100)
    enough = [collector.add(audio_frame(np.stack([row, row]))) for row in ramp]
    assert enough == [False, False, True, True]
    np.testing.assert_array_equal(np.concatenate(collector.close()) * 32768, np.arange(150, 250))


def test_packed_and_planar_frames_may_follow_one_another() -> None:
    collector = Collector(skip=0, wanted=1000)
    planar = np.array([[2, 4], [4, 8]], np.int16)
    packed = np.array([[2, 4, 4, 8]], np.int16)
    collector.add(audio_frame(planar))
    collector.add(audio_frame(packed, "s16"))
    collector.add(audio_frame(np.array([[3, 6]], np.int16), "s16p", "mono"))
    np.testing.assert_array_equal(np.concatenate(collector.close()) * 32768, [3, 6, 3, 6, 3, 6])


def test_samples_of_an_unknown_type_are_a_failure() -> None:
    class Odd:
        samples, sample_rate = 10, 44100
        format = SimpleNamespace(name="s64p", is_planar=True)
        layout = SimpleNamespace(nb_channels=1)

        def to_ndarray(self) -> np.ndarray:
            raise ValueError("no such conversion")

    collector = Collector(skip=0, wanted=10)
    collector.add(Odd())
    with pytest.raises(FailTrack):
        collector.close()
