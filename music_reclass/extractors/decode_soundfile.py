"""Decoding by libsndfile: WAV, AIFF, FLAC, MP3, Vorbis and their kin, seeking to the very sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from music_reclass.extractors.pcm import Decoded, Slabs, check_format, int16, middle, mono

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from soundfile import SoundFile

_BLOCK = 1 << 18  # frames read at a time: a header may announce 2^40
# libsndfile turns floats into integers without clipping for some codecs: loud Vorbis wraps around.
_FLOATING = ("FLOAT", "DOUBLE", "VORBIS")


def decode(file: BinaryIO, seconds: float) -> Decoded | None:
    """The middle `seconds` of an open file, or None where libsndfile does not take it.

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
        start, wanted = middle(source.frames, source.samplerate, seconds)
        parts, damaged = _read(source, start, wanted)
        short = sum(len(part) for part in parts) < 0.98 * wanted
        return Decoded(parts, source.samplerate, source.channels, start, source.frames, short, damaged)


def _read(source: SoundFile, start: int, wanted: int) -> tuple[list[NDArray[np.float32]], bool]:
    """Up to `wanted` mono samples from `start` on, and whether libsndfile gave up before."""
    import soundfile

    dtype = "float32" if source.subtype in _FLOATING else "int16"
    slabs = Slabs()
    try:
        if start:
            source.seek(start)
        while wanted > 0:
            block = source.read(min(wanted, _BLOCK), dtype=dtype, always_2d=True)
            if not len(block):
                break
            slabs.append(mono(int16(block).T))
            wanted -= len(block)
    except soundfile.SoundFileError:
        return slabs.close(), True
    return slabs.close(), False
