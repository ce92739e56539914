"""Decoding by PyAV (FFmpeg): seeking, damaged streams, and what libsndfile cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.extractors.audio.pcm import Decoded, Slabs, check_format, middle, mono

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np
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
            self.slabs.append(mono(kept))


_PREROLL = 1.0  # seconds decoded before an excerpt, so that overlapping frames and bit reservoirs have filled
_LONGEST = 7200.0  # seconds looked at in a file that does not say how long it is
# These have no index and no length in a header: FFmpeg guesses from the bit rate, counting packets knows.
_COUNTED = frozenset({"mp3", "aac", "ac3", "eac3", "dts", "amr"})


def decode(
    file: BinaryIO, demuxer: str, seconds: float, announced: float | None = None, *, place: float = 0.5
) -> Decoded:
    """`seconds` of an open file at `place` (0.5: the middle), by seeking where its length is known, else out of all.

    `announced` is a length in seconds known from elsewhere, to judge whether the file was cut. Raises
    SkipTrack("no_audio") where there is no sound in the file, FailTrack("decode") where none can be got out.
    """
    import av

    av.logging.set_level(None)
    try:
        found = _excerpt(file, demuxer, seconds, announced, place=place)
        return found or _readable(file, demuxer, seconds, announced, place=place)
    except av.error.FFmpegError as error:
        raise FailTrack("decode", f"FFmpeg cannot read it as {demuxer}: {error.strerror}") from None


def _excerpt(file: BinaryIO, demuxer: str, seconds: float, announced: float | None, *, place: float) -> Decoded | None:
    """The excerpt by seeking; None where the length is unknown, hardly more than the excerpt, or was not true."""
    with closing(Source(file, demuxer)) as source:
        first = next(source.frames(), None)
        length = source.length
        if first is None or length is None or length < seconds + 4 * _PREROLL:
            return None
    if demuxer in _COUNTED:
        with closing(Source(file, demuxer)) as source:
            length = source.count()
    with closing(Source(file, demuxer)) as source:
        rate = first.sample_rate
        total = round(length * rate)
        start, wanted = middle(total, rate, seconds, place)
        if start < 2 * _PREROLL * rate:
            return None
        try:
            source.seek(start / rate - _PREROLL)
        except (OSError, ValueError, OverflowError):
            return None
        frames = source.frames()
        next(frames, None)  # trimmed by some decoders after a seek, and without the frame it overlaps with
        following = next(frames, None)
        position = None if following is None else source.position(following, first)
        if position is None or position > start:
            return None
        collector = Collector(start - position, wanted)
        if not collector.add(following):
            any(collector.add(frame) for frame in frames)
        parts = collector.close()
        came = sum(len(part) for part in parts)
        if came < 0.98 * wanted:
            return None
        short = announced is not None and length < 0.98 * announced
        return Decoded(parts, rate, source.channels, start, total, short, source.damaged)


def _readable(file: BinaryIO, demuxer: str, seconds: float, announced: float | None, *, place: float) -> Decoded:
    """The excerpt of everything that can be decoded, from the first packet on."""
    with closing(Source(file, demuxer)) as source:
        collector = Collector(0, 1 << 62)
        total = dropped = 0
        for frame in source.frames():
            collector.add(frame)
            total += frame.samples
            # The excerpt only moves forward: what lies before it now will never be asked for.
            done = collector.slabs.parts
            while done and dropped + len(done[0]) <= middle(total, source.rate, seconds, place)[0]:
                dropped += len(done.pop(0))
            if total > _LONGEST * source.rate:
                break
        parts = collector.close()
        if not total:
            if source.damaged or source.length:
                raise FailTrack("decode", f"no sound can be decoded from the {demuxer} file")
            raise SkipTrack("no_audio", f"the {demuxer} file holds no sound")
        if announced is None and demuxer not in _COUNTED:
            announced = source.length
        start, wanted = middle(total, source.rate, seconds, place)
        parts = _cut(parts, start - dropped, wanted)
        short = announced is not None and total < 0.98 * min(announced, _LONGEST) * source.rate
        return Decoded(parts, source.rate, source.channels, start, total, short, source.damaged)


def _cut(parts: list[NDArray[np.float32]], start: int, wanted: int) -> list[NDArray[np.float32]]:
    """`wanted` samples from `start` on, still in parts."""
    kept = []
    for part in parts:
        piece = part[max(start, 0) : max(start + wanted, 0)]
        if len(piece):
            kept.append(piece)
        start -= len(part)
    return kept
