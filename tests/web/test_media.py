"""The sound and the picture of a track."""

from __future__ import annotations

import io
import os
import threading
import time
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import TrackError
from music_reclass.extractors.audio.load import load
from music_reclass.web import media
from music_reclass.web.jobs import Busy

RATE = 44100


def test_the_wav_holds_the_samples() -> None:
    samples = np.sin(np.arange(RATE) / 20).astype(np.float32) * 0.5
    with wave.open(io.BytesIO(media.wav(samples, RATE))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, RATE, RATE)
        found = np.frombuffer(file.readframes(RATE), dtype="<i2") / 32767
    assert np.abs(found - samples).max() < 1e-4


@pytest.fixture
def reader() -> Iterator[media.Reader]:
    """A reader that gives up soon."""
    made = media.Reader(0.5)
    yield made
    made.close()


def test_the_excerpt_is_that_of_the_models_and_decoded_once(demo_library: Path, reader: media.Reader) -> None:
    path = next(one for one in sorted(demo_library.rglob("*")) if one.suffix == ".flac")
    status = path.stat()
    clip = reader.excerpt(str(path), status.st_size, status.st_mtime_ns)
    assert np.array_equal(clip.samples, load(path, "mid30", media.RATE).samples)
    assert reader.excerpt(str(path), status.st_size, status.st_mtime_ns) is clip
    assert reader.call(os.getpid) != os.getpid()


def test_a_decoder_that_crashes_or_never_ends_costs_one_request(reader: media.Reader, tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="crashed"):
        reader.call(os.abort)
    assert reader.call(len, "abc") == 3
    with pytest.raises(TrackError, match="timeout"):
        reader.call(time.sleep, 60)
    with pytest.raises(TrackError):
        reader.excerpt(str(tmp_path / "none.mp3"), 1, 1)


def test_a_file_that_keeps_the_reader_busy_leaves_threads_for_others(reader: media.Reader) -> None:
    with reader._lock:  # as while one is read
        threads = [threading.Thread(target=reader.call, args=(len, "abc")) for _ in range(media._WAITING)]
        for thread in threads:
            thread.start()
        while reader._waiting.acquire(blocking=False):  # until all of them wait
            reader._waiting.release()
        with pytest.raises(Busy, match="try again"):
            reader.call(len, "abc")
    for thread in threads:
        thread.join()
    assert reader.call(len, "abc") == 3


def test_the_spectrogram_is_a_png_with_a_tone_at_its_height(demo_library: Path) -> None:
    from dataclasses import replace

    path = next(one for one in sorted(demo_library.rglob("*")) if one.suffix == ".flac")
    seconds = np.arange(10 * RATE) / RATE
    low, high = (
        replace(load(path), samples=np.sin(2 * np.pi * hertz * seconds).astype(np.float32), rate=RATE)
        for hertz in (200, 6000)
    )
    rows = []
    for clip in (low, high):
        data = media.spectrogram(clip)
        assert data.startswith(b"\x89PNG")
        start = data.index(b"IDAT") + 4
        length = int.from_bytes(data[start - 8 : start - 4], "big")
        pixels = np.frombuffer(zlib.decompress(data[start : start + length]), dtype=np.uint8).reshape(128, -1)
        rows.append(int(pixels[:, 1:].astype(int).sum(axis=1).argmax()))
    assert rows[0] > rows[1]  # low notes at the bottom
