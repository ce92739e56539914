"""Audio containers: structure, audio payload and the genre field of each; `FORMATS` lists those that can be written."""

from __future__ import annotations

from music_reclass.containers import ape, asf, flac, mp4, mpeg, ogg
from music_reclass.containers import riff as chunked
from music_reclass.containers.edits import Format, Raw

__all__ = ["FORMATS", "Format", "Raw"]

_APE = Format(ape.read_raw, ape.encode, ape.splice)
_MPEG = Format(mpeg.read, mpeg.encode, mpeg.splice)

# Container, as `utils.payload.sniff` names it -> how its genre is read and written.
FORMATS: dict[str, Format] = {
    "mpeg": _MPEG,
    "tta": _MPEG,
    "flac": Format(flac.read, flac.encode, flac.splice),
    "ogg": Format(ogg.read, ogg.encode, ogg.splice),
    "mp4": Format(mp4.read, mp4.encode, mp4.splice),
    "asf": Format(asf.read, asf.encode, asf.splice),
    "wav": Format(chunked.read_wav, chunked.encode_wav, chunked.splice_wav),
    "aiff": Format(chunked.read_aiff, chunked.encode_aiff, chunked.splice_aiff),
    "wavpack": _APE,
    "monkeys": _APE,
    "tak": _APE,
    "musepack": _APE,
    "optimfrog": _APE,
}
