"""Hand-made stages, vectors and tracks: a stage reads its probabilities off the vector it is given."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.policy import Thresholds
from music_reclass.classification.voter import Stage
from music_reclass.domain import FeatureKind, TrackTags, Vote
from music_reclass.errors import FailTrack
from music_reclass.models.early_exit import ExitRule

GENRES = ("Jazz", "Pop", "Rock")
CHEAP = FeatureKind("cheap", "1", 3, "mid30")
COSTLY = FeatureKind("costly", "1", 3, "mid30")
MET = {"confident": {"certified": True, "precision": 0.85, "delta": 0.1}}
LIMITS = Thresholds(confident=0.8, likely=0.5, exit=0.8)


@dataclass(frozen=True)
class Echo:
    """A bundle whose probabilities are the last three numbers of the row."""

    stage: str = "cheap"
    kinds: tuple[FeatureKind, ...] = (CHEAP,)
    labels: tuple[str, ...] = GENRES
    thresholds: dict[str, float | None] = field(default_factory=lambda: {"confident": 0.8, "likely": 0.5})
    name: str = "echo"
    version: str = "1"
    digest: str = "d1"
    manifest: dict[str, object] = field(default_factory=lambda: {"certificates": MET})

    def predict_proba(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return rows[:, -len(self.labels) :].astype(np.float64)


class Vectors:
    """A feature source over plain dictionaries, that remembers what it was asked for."""

    def __init__(self, stored: dict[FeatureKind, dict[int, list[float]]]) -> None:
        self.stored = stored
        self.asked: dict[FeatureKind, set[int]] = {}

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, NDArray[np.float32]]:
        wanted = list(track_ids)
        self.asked.setdefault(kind, set()).update(wanted)
        found = self.stored.get(kind, {})
        return {track_id: np.array(found[track_id], dtype=np.float32) for track_id in wanted if track_id in found}


@dataclass(frozen=True)
class Track:
    path: str = "/music/a.mp3"
    tags: TrackTags = field(default_factory=TrackTags)


def stage(name: str, kind: FeatureKind, limits: Thresholds = LIMITS) -> Stage:
    return echo_stage(name, (kind,), limits)


def echo_stage(name: str, kinds: tuple[FeatureKind, ...], limits: Thresholds = LIMITS, **manifest: Any) -> Stage:
    """A stage of Echo with these thresholds; its exit rule states nothing else."""
    bundle = Echo(
        name,
        kinds,
        thresholds={"confident": limits.confident, "likely": limits.likely},
        digest=f"digest of {name}",
        manifest={"certificates": MET, **manifest},
    )
    return Stage(bundle, GENRES, ExitRule(limits.exit) if math.isfinite(limits.exit) else None)  # type: ignore[arg-type]


def vote(jazz: float, pop: float, rock: float, by: str = "cheap") -> Vote:
    return Vote(by, dict(zip(GENRES, (jazz, pop, rock), strict=True)))


def cast(row: list[float], by: str = "cheap") -> Vote:
    """The vote that a stage of Echo casts for this vector: through float32, then made to sum to one."""
    numbers = np.array(row, dtype=np.float32).astype(np.float64)
    return vote(*(numbers / numbers.sum()).tolist(), by=by)


class Loudness:
    """An extractor of two kinds, `loudness` and `peak`, one number each, from one pass; it remembers its passes.

    Samples that are quieter than `least` fail; `broken` gives numbers that are none.
    """

    rate = 16000
    passes: ClassVar[list[int]] = []
    least = 0.0
    broken = False

    def __init__(self, excerpt: str) -> None:
        self.kind = FeatureKind("loudness", "1", 1, excerpt)

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.vectors(samples)[self.kind]

    def vectors(self, samples: NDArray[np.float32]) -> dict[FeatureKind, NDArray[np.float32]]:
        self.passes.append(len(samples))
        peak = np.abs(samples).max(keepdims=True)
        if peak < self.least:
            raise FailTrack("decode", "too quiet")
        mean = np.full(1, np.nan, np.float32) if self.broken else np.abs(samples).mean(keepdims=True)
        return {self.kind: mean, FeatureKind("peak", "1", 1, self.kind.excerpt): peak}
