"""The sound and the picture of a track: the excerpt that the models used as WAV, its spectrogram as PNG."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from music_reclass.errors import TrackError
from music_reclass.extractors.audio.load import load
from music_reclass.utils.workers import WorkerPool
from music_reclass.web.jobs import Busy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.extractors.audio.load import Clip

Found = TypeVar("Found")

RATE = 44100  # Hz
EXCERPT = "mid30"
_KEPT = 6  # excerpts of 2.6 MB in memory: the album that is reviewed now
_WAITING = 3  # requests at a time that read files by one process; the server has eight threads
_WIDE = 640  # pixels of a spectrogram

# Dark to bright, red-green-blue by equal steps.
_COLOURS = np.array(
    [(8, 8, 24), (38, 24, 84), (84, 28, 122), (140, 41, 120), (196, 62, 96), (236, 104, 62), (250, 164, 48),
     (252, 226, 138)], dtype=np.float64,
)  # fmt: skip


class Reader:
    """Reads files in a process of its own, one at a time, as scans do: a file that crashes a decoder, or on which it
    never ends, costs one request, not the server."""

    def __init__(self, timeout: float, memory: int = 0) -> None:
        self._pool: WorkerPool[Any, Any] = WorkerPool(_called, 1, timeout, _prepared, memory=memory, nice=0)
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(_WAITING)
        self.excerpt = lru_cache(maxsize=_KEPT)(self._excerpt)

    def call(self, function: Callable[..., Found], *arguments: object) -> Found:
        """What a function of a module gives there; raises TrackError, for any other exception too, and Busy where too
        many wait: a file on which a decoder never ends leaves threads for other requests."""
        if not self._waiting.acquire(blocking=False):
            raise Busy("Other files are being read; try again in a moment.")
        try:
            with self._lock:
                ((_, answer),) = self._pool.map([(function, arguments)])
        finally:
            self._waiting.release()
        if isinstance(answer, TrackError):
            raise answer
        found: Found = answer
        return found

    def _excerpt(self, path: str, size: int, mtime_ns: int) -> Clip:
        """The excerpt of a file, mono at RATE; raises TrackError. `size` and `mtime_ns` tell its versions apart."""
        return self.call(load, Path(path), EXCERPT, RATE)

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._pool.end_items()
        with self._lock:
            self._pool.close()


def _called(order: tuple[Callable[..., Found], Sequence[object]]) -> Found:
    function, arguments = order
    return function(*arguments)


def _prepared() -> None:
    from music_reclass.extractors.pipeline import prepare_worker

    prepare_worker()


def wav(samples: NDArray[np.float32], rate: int) -> bytes:
    """A WAV file of mono float32 samples in [-1, 1], shape (n,), as 16-bit integers."""
    data = (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16,
                       b"data", len(data))  # fmt: skip
    return head + data


def spectrogram(clip: Clip) -> bytes:
    """The log-mel spectrogram of a clip as a PNG, 128 pixels high, low notes at the bottom."""
    from music_reclass.extractors.mel import PLOT_FLOOR, plot_spectrogram

    levels, _ = plot_spectrogram(clip.samples, clip.rate)
    columns = np.linspace(0, levels.shape[1], _WIDE + 1).astype(np.int64)[:-1]
    shown = np.maximum.reduceat(levels, np.minimum(columns, levels.shape[1] - 1), axis=1)
    scale = (shown[::-1] - PLOT_FLOOR) / -PLOT_FLOOR * (len(_COLOURS) - 1)
    lower = np.clip(scale.astype(np.int64), 0, len(_COLOURS) - 2)
    share = (scale - lower)[..., None]
    pixels = (_COLOURS[lower] * (1 - share) + _COLOURS[lower + 1] * share).astype(np.uint8)
    return _png(pixels)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of red-green-blue pixels, shape (height, width, 3)."""
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 6)) + chunk(b"IEND", b"")
