"""Decoding by libsndfile (WAV, AIFF, FLAC, MP3, Vorbis), and silencing what decoders print on descriptor 2."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from music_reclass.extractors.audio.pcm import Decoded, Slabs, check_format, middle, mono

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from soundfile import SoundFile

_lock = threading.Lock()
_depth = 0
_saved = -1


def quiet_decoders() -> None:
    """Send this process's descriptor 2 to nowhere for good, but keep `sys.stderr` where it was. For workers."""
    global _depth
    with _lock:
        _depth += 1
        if _depth > 1:
            return
        _redirect()
        if _saved < 0:
            return
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(_saved), "w", buffering=1, encoding="utf-8", errors="backslashreplace")


@contextmanager
def quiet() -> Iterator[None]:
    """Send descriptor 2 to nowhere inside the block; blocks may nest and overlap in threads."""
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _redirect()
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and _saved >= 0:
                os.dup2(_saved, 2)
                os.close(_saved)


def _redirect() -> None:
    global _saved
    try:
        _saved = os.dup(2)
    except OSError:  # a daemon without descriptor 2 is silent already
        _saved = -1
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


# Numbers read at a time: a header may announce 2^40. Half a minute comes at once, as soundfile seeks after reading.
_BLOCK = 1 << 22
_AT_ONCE = 1 << 16  # frames mixed at a time: they stay in the cache
# libsndfile turns floats into integers without clipping for some codecs: loud Vorbis wraps around.
# MP3s are decoded to floats anyway, which NumPy rounds to the same integers in a quarter of libsndfile's time.
_FLOATING = ("FLOAT", "DOUBLE", "VORBIS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")


def decode(file: BinaryIO, seconds: float, place: float = 0.5) -> Decoded | None:
    """`seconds` of an open file at `place` (0.5: the middle), or None where libsndfile does not take it.

    What it takes but cannot read to the end comes back `short`, perhaps empty. FailTrack for absurd headers.
    """
    import soundfile

    file.seek(0)
    try:
        source = soundfile.SoundFile(file.fileno(), closefd=False)
    except soundfile.SoundFileError:
        return None
    with source:
        if source.subtype == "OPUS" or not source.frames:
            return None  # FFmpeg needs less than half the time for Opus, and knows whether nothing is really nothing
        check_format(source.samplerate, source.channels)
        start, wanted = middle(source.frames, source.samplerate, seconds, place)
        parts, damaged = _read(source, start, wanted)
        short = sum(len(part) for part in parts) < 0.98 * wanted
        return Decoded(parts, source.samplerate, source.channels, start, source.frames, short, damaged)


def _read(source: SoundFile, start: int, wanted: int) -> tuple[list[NDArray[np.float32]], bool]:
    """Up to `wanted` mono samples from `start` on, and whether libsndfile gave up before."""
    import soundfile

    dtype = "float32" if source.subtype in _FLOATING else "int16"
    slabs = Slabs()
    space = np.empty((min(wanted, _BLOCK // source.channels), source.channels), dtype)
    try:
        if start:
            source.seek(start)
        while wanted > 0:
            block = source.read(out=space[:wanted])
            if not len(block):
                break
            for at in range(0, len(block), _AT_ONCE):
                slabs.append(mono(block[at : at + _AT_ONCE].T))
            wanted -= len(block)
    except soundfile.SoundFileError:
        return slabs.close(), True
    return slabs.close(), False
