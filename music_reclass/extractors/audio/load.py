"""Loads the excerpt of any audio file as mono float32 at a given sample rate; typed errors where that fails."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from music_reclass.containers.sniff import sniff
from music_reclass.errors import FailTrack, SkipTrack, TrackError
from music_reclass.extractors.audio import pyav, sndfile
from music_reclass.extractors.audio.sndfile import quiet
from music_reclass.extractors.registry import EXCERPTS, WINDOWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.containers.structure import Layout
    from music_reclass.extractors.audio.pcm import Decoded

SHORTEST = 5.0  # seconds below which no genre is guessed
_SILENT = 2 / 32768  # a peak below two int16 steps is dither at most


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded sound, and how it was decoded.

    `samples`: mono float32 (n,) at `rate` Hz, each channel quantised to int16 before the mean. `duration`: seconds
    of the whole file, as announced or counted. `warnings`: `truncated` (less came than the file announces),
    `damaged` (the decoder met errors), `capped` (longer than the excerpt `full` takes in).
    """

    samples: NDArray[np.float32]
    rate: int
    duration: float
    source_rate: int
    channels: int
    decoder: str
    warnings: tuple[str, ...] = ()


def load(path: Path, excerpt: str = "mid30", rate: int = 44100) -> Clip:
    """The excerpt (one of registry.EXCERPTS; `mid30`: middle 30 s) of the file at `path`, resampled to `rate` Hz.

    Raises SkipTrack (`no_audio`, `not_audio`) where there is no sound, FailTrack (`decode`, `permission`,
    `vanished`, `io`) where something is wrong. Short and silent files are returned: see `check_usable`.
    """
    return next(load_at(path, excerpt, (rate,)))


def load_at(path: Path, excerpt: str, rates: Sequence[int]) -> Iterator[Clip]:
    """The same excerpt at each of `rates` in turn, of a file that is decoded once.

    SkipTrack("too_short") for an excerpt beside the middle that would overlap with it.
    """
    seconds = EXCERPTS[excerpt]
    place, shortest = WINDOWS.get(excerpt, (0.5, 0.0))
    try:
        with _opened(path) as file, quiet():
            decoded, decoder, layout = _decode(file, seconds, place)
            truncated = decoded.short or layout.announced > os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise FailTrack("vanished", f"the file is gone: {error.strerror}") from None
    except PermissionError as error:
        raise FailTrack("permission", f"the file may not be read: {error.strerror}") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # the container sent the decoder to a place before the file's first byte
            raise FailTrack("decode", "the file points outside itself") from None
        raise FailTrack("io", f"the file could not be read: {error.strerror or error}") from None
    except MemoryError:
        raise FailTrack("memory", "decoding it needs more memory than there is") from None
    duration = decoded.total / decoded.rate
    if duration < shortest:
        raise SkipTrack("too_short", f"of {duration:.0f} s the middle alone is taken")
    found = {"truncated": truncated, "damaged": decoded.damaged, "capped": excerpt == "full" and duration > seconds}
    for place, rate in enumerate(rates):
        yield Clip(
            samples=_resampled(decoded, rate, keep=place + 1 < len(rates)),
            rate=rate,
            duration=duration,
            source_rate=decoded.rate,
            channels=decoded.channels,
            decoder=decoder,
            warnings=tuple(name for name, applies in found.items() if applies),
        )


def check_usable(clip: Clip) -> None:
    """SkipTrack("too_short") below five seconds, SkipTrack("silence") where no sample reaches two int16 steps."""
    seconds = len(clip.samples) / clip.rate
    if seconds < SHORTEST:
        raise SkipTrack("too_short", f"{seconds:.1f} s of sound is too little to tell a genre by")
    if max(float(clip.samples.max()), -float(clip.samples.min())) < _SILENT:
        raise SkipTrack("silence", "there is nothing to hear")  # stored in libraries: kept


def _opened(path: Path) -> BinaryIO:
    """The file, open for reading; SkipTrack for an empty one and for what is no file, such as a pipe."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise SkipTrack("not_audio", "this is not a regular file")
    if not status.st_size:
        raise SkipTrack("no_audio", "the file is empty")
    return open(path, "rb")


def _decode(file: BinaryIO, seconds: float, place: float) -> tuple[Decoded, str, Layout]:
    """soundfile first where it can, PyAV for the rest and for what soundfile gives up on; the better of the two."""
    layout = sniff(file)
    if not layout.demuxer:
        raise SkipTrack("not_audio", "the content is no audio that we know of")
    first = sndfile.decode(file, seconds, place) if layout.soundfile else None
    if first is not None and not first.short:
        return first, "soundfile", layout
    try:
        length = None if first is None else first.total / first.rate
        second = pyav.decode(file, layout.demuxer, seconds, length, place=place)
    except TrackError:
        if first is None or not first.frames:
            raise
        return first, "soundfile", layout
    if first is not None and first.frames > second.frames:
        return first, "soundfile", layout
    return replace(second, damaged=second.damaged or (first is not None and first.damaged)), "pyav", layout


def _resampled(decoded: Decoded, rate: int, *, keep: bool) -> NDArray[np.float32]:
    """The parts as one array at `rate`; unless they are to `keep`, each is let go once it is used, so that long files
    are not held twice."""
    import soxr

    same = decoded.rate == rate
    if same and len(decoded.parts) == 1:
        return decoded.parts[0]
    stream = None if same else soxr.ResampleStream(decoded.rate, rate, 1, dtype="float32", quality="HQ")
    result = np.empty(decoded.frames if same else decoded.frames * rate // decoded.rate + 2, np.float32)
    filled, parts = 0, list(decoded.parts) if keep else decoded.parts
    while parts:
        part = parts.pop(0)
        if stream is not None:
            part = stream.resample_chunk(part, last=not parts)
        result[filled : filled + len(part)] = part
        filled += len(part)
    return result[:filled]
