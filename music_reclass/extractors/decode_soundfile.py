"""Decoding by libsndfile: WAV, AIFF, FLAC, MP3, Vorbis and their kin, seeking to the very sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from music_reclass.extractors.pcm import Decoded, check_format, int16, middle, mono

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK = 1 << 18  # frames read at a time: a header may announce 2^40
_FLOATING = ("FLOAT", "DOUBLE", "VORBIS")


def decode(file: BinaryIO, seconds: float) -> Decoded | None:
    """The middle `seconds` of an open file, or None where libsndfile cannot read it; FailTrack for absurd headers."""
    import soundfile

    file.seek(0)
    parts: list[NDArray[np.float32]] = []
    try:
        with soundfile.SoundFile(file.fileno(), closefd=False) as source:
            if source.subtype == "OPUS":
                return None  # FFmpeg needs less than half the time
            check_format(source.samplerate, source.channels)
            start, wanted = middle(source.frames, source.samplerate, seconds)
            if start:
                source.seek(start)
            # libsndfile wraps floats beyond full scale around when it is asked for integers
            dtype = "float32" if source.subtype in _FLOATING else "int16"
            left = wanted
            while left > 0:
                block = source.read(min(left, _BLOCK), dtype=dtype, always_2d=True)
                if not len(block):
                    break
                parts.append(mono(int16(block).T))
                left -= len(block)
            result = Decoded(
                parts, source.samplerate, source.channels, start, source.frames, short=left > 0.02 * wanted
            )
    except soundfile.SoundFileError:
        return None
    return result if parts else None
