"""One audio stream under FFmpeg's libraries: packets, frames, where they lie, and mono samples out of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.extractors.pcm import Slabs, check_format, int16, mono

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

_PATIENCE = 500  # packets in a row without sound before a file is given up
_STUMBLES = 20_000  # times a container may break off; some search their next block a few bytes at a time
_GROUP = 1 << 18  # samples converted at once: frames are small, and NumPy is slow at small things
# PyAV looks for planes until it finds a null pointer, which beyond FFmpeg's eight may be anywhere: a crash.
_PLANES = 8
# These may hold a film without sound, which is nothing to complain about.
_FILMS = frozenset({"mov", "matroska", "asf", "ogg", "avi", "flv", "mpegts", "mpeg", "rm"})


class Source:
    """One audio stream being decoded; remembers what went wrong instead of giving up at the first bad packet."""

    def __init__(self, file: BinaryIO, demuxer: str) -> None:
        import av

        file.seek(0)
        self._container: Any = av.open(file, format=demuxer, metadata_errors="ignore")
        if not self._container.streams.audio:
            self._container.close()
            if demuxer in _FILMS:
                raise SkipTrack("no_audio", "there is no audio stream in the file")
            raise FailTrack("decode", f"there is no audio stream in the {demuxer} file")
        self._stream: Any = self._container.streams.audio[0]
        self.rate = self.channels = 0
        self.damaged = False

    def close(self) -> None:
        self._container.close()

    @property
    def length(self) -> float | None:
        """Seconds, as the headers announce them."""
        if self._stream.duration and self._stream.duration > 0:
            return float(self._stream.duration * self._stream.time_base)
        duration = self._container.duration
        return duration / 1e6 if duration and duration > 0 else None

    def count(self) -> float:
        """Seconds, by reading every packet and decoding none."""
        units = sum(packet.duration or 0 for packet in self._packets())
        return float(units * self._stream.time_base)

    def seek(self, seconds: float) -> None:
        offset = int(seconds / self._stream.time_base) + (self._stream.start_time or 0)
        self._container.seek(offset, stream=self._stream, backward=True, any_frame=False)

    def frames(self) -> Iterator[Any]:
        """Every frame that can be decoded, all of one sample rate."""
        import av

        fruitless = 0
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                self.damaged = True
                decoded = []
            fruitless = 0 if decoded else fruitless + 1
            if fruitless > _PATIENCE:
                self.damaged = True
                return
            for frame in decoded:
                if not self.rate:
                    check_format(frame.sample_rate, frame.layout.nb_channels)
                    self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
                if frame.sample_rate == self.rate and (
                    frame.layout.nb_channels <= _PLANES or not frame.format.is_planar
                ):
                    yield frame
                else:
                    self.damaged = True

    def _packets(self) -> Iterator[Any]:
        import av

        for _ in range(_STUMBLES):
            try:
                yield from self._container.demux(self._stream)
                return
            except (av.error.FFmpegError, IndexError):  # IndexError: a packet of a stream that PyAV has not seen
                self.damaged = True  # reading goes on behind the damage

    def position(self, frame: Any, first: Any) -> int | None:
        """Which sample of the file `frame` begins with, counted from the start of its `first` frame."""
        if frame.pts is None or first.pts is None:
            return None
        unit = self._stream.time_base * self.rate  # samples
        exact: Fraction = (frame.pts - first.pts) * unit
        if unit <= 1:
            return round(exact)
        # Milliseconds (Matroska, ASF, FLV) are too coarse; frames of equal length lie on a grid.
        steps = round((exact - first.samples) / frame.samples)
        snapped = int(first.samples + steps * frame.samples)
        near: int = snapped if abs(snapped - exact) <= 1.5 * unit else round(exact)
        return near


class Collector:
    """Takes frames, lets `skip` samples pass, keeps the next `wanted` as mono float32 in parts."""

    def __init__(self, skip: int, wanted: int) -> None:
        self._skip, self._left = skip, wanted
        self._pending: list[Any] = []
        self._samples = 0  # in what is pending
        self._key: tuple[str, int] | None = None
        self.slabs = Slabs()

    def add(self, frame: Any) -> bool:
        """Whether enough frames have been seen."""
        key = (frame.format.name, frame.layout.nb_channels)
        if key != self._key or self._samples >= _GROUP:
            self.flush()
            self._key = key
        self._pending.append(frame)
        self._samples += frame.samples
        return self._samples >= self._skip + self._left

    def close(self) -> list[NDArray[np.float32]]:
        """All that was collected."""
        self.flush()
        return self.slabs.close()

    def flush(self) -> None:
        """Turn what is pending into mono samples."""
        if not self._pending:
            return
        first = self._pending[0]
        channels = first.layout.nb_channels
        check_format(first.sample_rate, channels)
        try:
            arrays = [frame.to_ndarray() for frame in self._pending]
        except ValueError:
            raise FailTrack("decode", f"samples of type {first.format.name} cannot be converted") from None
        self._pending, self._samples = [], 0
        if not first.format.is_planar:
            arrays = [array.reshape(-1, channels).T for array in arrays]
        samples = np.concatenate(arrays, axis=1)
        kept = samples[:, self._skip : self._skip + self._left]
        self._skip = max(0, self._skip - samples.shape[1])
        self._left -= kept.shape[1]
        if kept.shape[1]:
            self.slabs.append(mono(int16(kept)))
