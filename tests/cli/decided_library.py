"""A library whose tracks were decided by hand: real files that can be tagged, and no audio is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import TrackError
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.tagging.read import read_tags
from tests.tagging.samples import tagged

KIND = FeatureKind("fma518", "1", 3, "mid30")


@dataclass(frozen=True)
class Tune:
    """A file of this name that holds `tags`, and the genre it was given ("" for unsure), or why it could get none."""

    name: str
    genre: str = "Rock"
    tags: tuple[str, ...] | None = None
    confidence: float = 0.9
    error: TrackError | None = None
    kind: str = "mp3 v2.4"  # of tests.tagging.samples


@dataclass
class DecidedLibrary:
    """A folder of files and the database that says what they are."""

    folder: Path
    database: Path
    paths: list[Path] = field(default_factory=list)

    def add(self, *tunes: Tune) -> list[Path]:
        """Write the files, and store each as read and decided."""
        database = Database(self.database)
        added = [self._add(database, tune) for tune in tunes]
        database.close()
        self.paths += added
        return added

    def _add(self, database: Database, tune: Tune) -> Path:
        path = Path(os.path.realpath(self.folder)) / tune.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tagged(tune.kind, tune.tags))
        status = path.stat()
        vector = None if tune.error else np.ones(3, np.float32)
        read = Track(
            str(path), status.st_size, status.st_mtime_ns, os.fsencode(path), 61.4, read_tags(path), (), vector,
            tune.error,
        )  # fmt: skip
        (number,) = Library(database).save([read], KIND)
        if tune.error is None:
            decisions = Decisions(database)
            bundle = decisions.register_bundle("fma-mlp", "abc", {"version": "1"})
            decisions.save({number: decided(tune.genre, tune.confidence)}, {"fma518": bundle}, "basis")
        return path

    def store(self, tracks: Sequence[Track]) -> None:
        """Tracks without a file."""
        database = Database(self.database)
        Library(database).save(tracks, KIND)
        database.close()


def decided(genre: str, confidence: float = 0.9) -> Decision:
    """What one stage concluded; unsure without a genre."""
    if not genre:
        return Decision(Outcome.UNSURE, "below the threshold", votes=(Vote("fma518", {"Rock": 0.4, "Jazz": 0.6}),))
    other = "Pop" if genre != "Pop" else "Rock"
    votes = (Vote("fma518", {genre: confidence, other: 1 - confidence}),)
    return Decision(Outcome.CONFIDENT, "confident", (genre,), confidence, "fma518", votes)


def nowhere(path: str, error: TrackError | None = None, tags: TrackTags | None = None) -> Track:
    """A track that is in the database alone."""
    return Track(path, 1, 1, os.fsencode(path), 9.0, tags or TrackTags(), (), None if error else np.ones(3), error)
