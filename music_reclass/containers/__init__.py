"""Audio containers: structure, audio payload and the genre field of each; `FORMATS` lists those that can be written."""

from __future__ import annotations

from music_reclass.containers.ape import Ape
from music_reclass.containers.asf import Asf
from music_reclass.containers.edits import Container
from music_reclass.containers.flac import Flac
from music_reclass.containers.mp4 import Mp4
from music_reclass.containers.mpeg import Mpeg
from music_reclass.containers.ogg import Ogg
from music_reclass.containers.riff import Aiff, Wav

# Container, as `sniff` names it -> its payload, and how its genre is read and written.
FORMATS: dict[str, type[Container]] = {
    "mpeg": Mpeg,
    "tta": Mpeg,
    "flac": Flac,
    "ogg": Ogg,
    "mp4": Mp4,
    "asf": Asf,
    "wav": Wav,
    "aiff": Aiff,
    "wavpack": Ape,
    "monkeys": Ape,
    "tak": Ape,
    "musepack": Ape,
    "optimfrog": Ape,
}
