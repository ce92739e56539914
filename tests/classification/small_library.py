"""A library of hand-made tracks, a cascade of two stages that read their votes off the vectors, and a fake runner that
extracts for the second."""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from music_reclass.classification.escalate import Escalation
from music_reclass.classification.policy import Thresholds
from music_reclass.classification.voter import Cascade
from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.errors import FailTrack, TrackError
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.features.scope import Scope
from music_reclass.models.early_exit import ExitRule
from music_reclass.taxonomy import load
from music_reclass.utils.progress import Silent
from tests.classification.fakes import CHEAP, COSTLY, GENRES, echo_stage

TREE = load()
EXIT = ExitRule(0.8, 0.02, 0.1, 500, 2, 0.4, ("digest of costly",))


@dataclass(frozen=True)
class Tune:
    """A track: what the cheap and the costly stage give Jazz, Pop and Rock; `costly` None: its extraction fails."""

    path: str
    cheap: tuple[float, float, float]
    costly: tuple[float, float, float] | None
    tags: tuple[str, ...] | None = None
    artist: str = ""
    album: str = ""


def sure(genre: str, confidence: float = 0.9) -> tuple[float, float, float]:
    """A vector that says `genre` with this confidence."""
    row = [(1 - confidence) / 2] * 3
    row[GENRES.index(genre)] = confidence
    return row[0], row[1], row[2]


@dataclass
class FakeRunner:
    """Stores the vectors that the tunes hold, and remembers which tracks it was asked for."""

    library: Library
    vectors: dict[int, tuple[float, float, float] | None]
    asked: list[int] = field(default_factory=list)

    def extract(
        self, tracks: Sequence[tuple[int, str]], kind: FeatureKind, stop: Callable[[], bool], progress: Any
    ) -> dict[int, TrackError | None]:
        """Store the vectors, one track at a time."""
        found: dict[int, TrackError | None] = {}
        for track, _ in tracks:
            if stop():
                break
            self.asked.append(track)
            vector = self.vectors[track]
            if vector is None:
                found[track] = FailTrack("decode", "bad frame")
                continue
            self.library.add_vectors({track: np.array(vector, np.float32)}, kind)
            found[track] = None
        return found

    def release(self) -> None:
        """Nothing to free."""


class SmallLibrary:
    """Tunes whose cheap vectors are stored; nobody has decided anything yet."""

    def __init__(self, folder: Path, tunes: Sequence[Tune], exit_rule: ExitRule | None = EXIT) -> None:
        self.database = Database(folder / "library.sqlite3")
        self.library = Library(self.database)
        readings = [
            Track(
                tune.path, 1, 1, os.fsencode(tune.path), 9.0, TrackTags(tune.tags, "", tune.artist, "", tune.album), (),
                np.array(tune.cheap, np.float32),
            )
            for tune in tunes
        ]  # fmt: skip
        self.ids = self.library.save(readings, CHEAP)
        self.runner = FakeRunner(self.library, {i: tune.costly for i, tune in zip(self.ids, tunes, strict=True)})
        certificates = {"confident": {"certified": True, "precision": 0.85}, "likely": {"certified": False}}
        cheap = echo_stage("cheap", (CHEAP,), Thresholds(0.8, 0.5), certificates=certificates)
        cheap = replace(cheap, exit_rule=exit_rule)
        costly = echo_stage("costly", (CHEAP, COSTLY), Thresholds(0.8, 0.5))
        self.cascade = Cascade((cheap, costly), TREE)

    def decide(self, extract: bool = True) -> Scope:
        """Run the cascade over the library as a scan does; the scope it leaves."""
        scope = Scope(self.database)
        scope.add(self.ids)
        Escalation(self.database, scope, self.cascade, self.runner if extract else None, bar=silent).run()  # type: ignore[arg-type]
        return scope


def silent(title: str, total: int | None) -> nullcontext[Silent]:
    """No bar."""
    return nullcontext(Silent())
