"""The sound and the picture of a track."""

from __future__ import annotations

import io
import wave
import zlib
from pathlib import Path

import numpy as np

from music_reclass.extractors.audio.load import load
from music_reclass.web import media

RATE = 44100


def test_the_wav_holds_the_samples() -> None:
    samples = np.sin(np.arange(RATE) / 20).astype(np.float32) * 0.5
    with wave.open(io.BytesIO(media.wav(samples, RATE))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, RATE, RATE)
        found = np.frombuffer(file.readframes(RATE), dtype="<i2") / 32767
    assert np.abs(found - samples).max() < 1e-4


def test_the_excerpt_is_that_of_the_models(demo_library: Path) -> None:
    path = next(one for one in sorted(demo_library.rglob("*")) if one.suffix == ".flac")
    status = path.stat()
    clip = media.excerpt(str(path), status.st_size, status.st_mtime_ns)
    assert np.array_equal(clip.samples, load(path, "mid30", media.RATE).samples)
    assert 0 <= media.start_of(clip) <= clip.duration


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
