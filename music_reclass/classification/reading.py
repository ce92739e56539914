"""What a worker does with one file: identity, tags, and the vector unless it is stored already."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from music_reclass.domain import FeatureKind, TrackTags
from music_reclass.errors import FailTrack, TrackError
from music_reclass.features.store import Reading
from music_reclass.utils.payload import payload_digest

if TYPE_CHECKING:
    from music_reclass.domain import Extractor, TagReader, Vector
    from music_reclass.extractors.audio import Clip


@dataclass(frozen=True, slots=True)
class ReadTask:
    """One file to read. Audio with one of the `stored` digests has its vector in the library."""

    path: str
    size: int
    mtime_ns: int
    stored: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class FileReader:
    """Callable that reads one file into a Reading; picklable, for worker processes. Never raises for a bad file."""

    kind: FeatureKind
    read_tags: TagReader

    def __call__(self, task: ReadTask) -> Reading:
        digest: bytes | None = None
        duration: float | None = None
        tags = TrackTags()
        warnings: tuple[str, ...] = ()
        vector: Vector | None = None
        error: TrackError | None = None
        try:
            path = Path(task.path)
            digest, tags = self._identify(path)
            if digest not in task.stored:
                clip, vector = self._extract(path)
                duration, warnings = clip.duration, clip.warnings
            status = os.stat(path)
            if (status.st_size, status.st_mtime_ns) != (task.size, task.mtime_ns):
                raise FailTrack("changed", "the file changed while it was read; the next scan takes it up")
        except TrackError as problem:
            error, vector = problem, None
        except OSError as problem:
            error, vector = FailTrack(_reason(problem), problem.strerror or str(problem)), None
        return Reading(task.path, task.size, task.mtime_ns, digest, duration, tags, warnings, vector, error)

    def _identify(self, path: Path) -> tuple[bytes, TrackTags]:
        """Digest and tags; where they cannot be had because there is no sound in the file, that is the reason given."""
        try:
            return payload_digest(path), self.read_tags(path)
        except TrackError:
            self._extract(path)
            raise

    def _extract(self, path: Path) -> tuple[Clip, Vector]:
        from music_reclass.extractors import audio

        extractor = _extractor(self.kind.name, self.kind.excerpt)
        clip = audio.load(path, self.kind.excerpt, extractor.rate)
        audio.check_usable(clip)
        return clip, extractor.vector(clip.samples)


@dataclass(frozen=True, slots=True)
class VectorReader:
    """Callable that gives the vector of one file, however short or silent; raises TrackError."""

    kind: str
    excerpt: str

    def __call__(self, path: Path) -> Vector:
        from music_reclass.extractors import audio

        extractor = _extractor(self.kind, self.excerpt)
        return extractor.vector(audio.load(path, self.excerpt, extractor.rate).samples)


@lru_cache(maxsize=4)
def _extractor(name: str, excerpt: str) -> Extractor:
    from music_reclass.extractors.registry import extractor

    return extractor(name, excerpt)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "vanished"
    return "permission" if isinstance(error, PermissionError) else "io"


def prepare_worker() -> None:
    """Silence the decoders and load what every file needs, once for each worker."""
    import music_reclass.extractors.audio
    import music_reclass.extractors.fma  # noqa: F401 - warm before the first file's clock starts
    from music_reclass.extractors.quiet import quiet_decoders

    quiet_decoders()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for good; PyAV prints what its callbacks raise there
