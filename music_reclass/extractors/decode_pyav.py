"""Decoding by FFmpeg's libraries: what libsndfile cannot read, reads slowly, or gives up on half-way."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO

from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.extractors.pcm import Decoded, middle
from music_reclass.extractors.pyav_stream import Collector, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PREROLL = 1.0  # seconds decoded before an excerpt, so that overlapping frames and bit reservoirs have filled
_LONGEST = 7200.0  # seconds looked at in a file that does not say how long it is
# These have no index and no length in a header: FFmpeg guesses from the bit rate, counting packets knows.
_COUNTED = frozenset({"mp3", "aac", "ac3", "eac3", "dts", "amr"})


def decode(file: BinaryIO, demuxer: str, seconds: float, announced: float | None = None) -> Decoded:
    """The middle `seconds` of an open file, by seeking where its length is known, else out of all of it.

    `announced` is a length in seconds known from elsewhere, to judge whether the file was cut. Raises
    SkipTrack("no_audio") where there is no sound in the file, FailTrack("decode") where none can be got out.
    """
    import av

    av.logging.set_level(None)
    try:
        return _excerpt(file, demuxer, seconds, announced) or _readable(file, demuxer, seconds, announced)
    except av.error.FFmpegError as error:
        raise FailTrack("decode", f"FFmpeg cannot read it as {demuxer}: {error.strerror}") from None


def _excerpt(file: BinaryIO, demuxer: str, seconds: float, announced: float | None) -> Decoded | None:
    """The middle by seeking; None where the length is unknown, hardly more than the excerpt, or was not true."""
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
        start, wanted = middle(total, rate, seconds)
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


def _readable(file: BinaryIO, demuxer: str, seconds: float, announced: float | None) -> Decoded:
    """The middle of everything that can be decoded, from the first packet on."""
    with closing(Source(file, demuxer)) as source:
        collector = Collector(0, 1 << 62)
        total = dropped = 0
        for frame in source.frames():
            collector.add(frame)
            total += frame.samples
            # The middle only moves forward: what lies before it now will never be asked for.
            done = collector.slabs.parts
            while done and dropped + len(done[0]) <= middle(total, source.rate, seconds)[0]:
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
        start, wanted = middle(total, source.rate, seconds)
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
