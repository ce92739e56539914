"""Tracks, tags, feature kinds, votes and decisions: frozen values that are checked when they are made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from music_reclass.errors import SkipTrack, TrackError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


CONTENT = ("content", "content-tags")
"""The stages that tell music from other sounds, cheapest first; their labels are `MUSIC` and other kinds of sound."""

MUSIC, SPEECH = "music", "speech"


class Outcome(str, Enum):
    """What the cascade concluded about one track."""

    CONFIDENT = "confident"
    LIKELY = "likely"
    UNSURE = "unsure"
    SKIPPED = "skipped"
    FAILED = "failed"


class Relation(str, Enum):
    """How a decided genre stands to the genre that is already there."""

    FILL = "fill"  # nothing is there
    AGREE = "agree"  # the same genre, or what is there is finer (a descendant of the decision)
    REFINE = "refine"  # what is there is an ancestor of the decision
    CONFLICT = "conflict"  # both are genres and neither contains the other
    JUNK = "junk"  # what is there says nothing: "Other", "genre", a number, a URL


class OnExisting(str, Enum):
    """What may be done to a genre that is already there."""

    KEEP = "keep"
    REPLACE_JUNK = "replace-junk"
    REPLACE_CONFLICT = "replace-conflict"
    REPLACE = "replace"
    MERGE = "merge"


@dataclass(frozen=True, slots=True)
class FeatureKind:
    """A name for vectors that may be compared: name, version, dimension and excerpt must all agree."""

    name: str
    version: str
    dimension: int
    excerpt: str

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise ValueError(f"a feature kind needs a positive dimension, not {self.dimension}")

    @property
    def key(self) -> str:
        """One word for logs and the database, e.g. `fma518/1/mid30`."""
        return f"{self.name}/{self.version}/{self.excerpt}"


@dataclass(frozen=True, slots=True)
class TrackTags:
    """What a file says about itself. `genres` is None where the field is absent, () where it is empty."""

    genres: tuple[str, ...] | None = None
    title: str = ""
    artist: str = ""
    album_artist: str = ""
    album: str = ""
    compilation: bool = False


@dataclass(frozen=True, slots=True)
class Vote:
    """One stage's calibrated opinion: a probability for every label it knows, summing to one."""

    stage: str
    probabilities: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.probabilities:
            raise ValueError("a vote needs at least one label")
        if not all(0.0 <= p <= 1.0 for p in self.probabilities.values()):
            raise ValueError("every probability of a vote lies in [0, 1]")
        if abs(sum(self.probabilities.values()) - 1.0) > 1e-3:
            raise ValueError("the probabilities of a vote sum to one")

    @property
    def genre(self) -> str:
        """The label with the highest probability; the first in order where two are equal."""
        return max(self.probabilities, key=lambda label: self.probabilities[label])

    @property
    def confidence(self) -> float:
        """The probability of `genre`, in [0, 1]."""
        return self.probabilities[self.genre]

    @property
    def instead_of_music(self) -> tuple[str, float]:
        """Of a vote of CONTENT: the likeliest label besides music, and the probability that it is no music at all."""
        others = {label: share for label, share in self.probabilities.items() if label != MUSIC}
        return max(others, key=lambda label: others[label]), max(0.0, 1.0 - self.probabilities.get(MUSIC, 0.0))

    def top(self, count: int) -> list[tuple[str, float]]:
        """The `count` likeliest labels with their probabilities, likeliest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:count]


@dataclass(frozen=True, slots=True)
class Decision:
    """What was concluded about one track, with every vote kept."""

    outcome: Outcome
    reason: str
    genres: tuple[str, ...] = ()
    confidence: float = 0.0
    stage: str = ""
    votes: tuple[Vote, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"a confidence lies in [0, 1], not {self.confidence}")
        if self.outcome in (Outcome.CONFIDENT, Outcome.LIKELY) and not self.genres:
            raise ValueError(f"a {self.outcome.value} decision names a genre")


UNWRITABLE = "unwritable: "
"""Begins the warning of a track whose genre cannot be written; the reason of the failure follows."""


@dataclass(frozen=True, slots=True)
class Track:
    """One audio file: where it lies, what reading it gave, and what was decided; the default for what was not asked.

    `vector` is of the feature kind that was asked for; `error` says why there can be none, and no decision. `more`
    holds vectors of other kinds that the same decoding gave, `peaks` the outline of the excerpt.
    """

    path: str
    size: int = 0
    mtime_ns: int = 0
    digest: bytes | None = None  # of the audio payload
    duration: float | None = None  # seconds
    tags: TrackTags = field(default_factory=TrackTags)
    warnings: tuple[str, ...] = ()
    vector: Vector | None = None
    error: TrackError | None = None
    decision: Decision | None = None
    missing: bool = False  # from where it was last seen
    id: int = 0  # in the library; 0 where it is not stored
    more: Mapping[FeatureKind, Vector] = field(default_factory=dict, hash=False)
    peaks: bytes = b""

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the decision, or of the failure; None where the track was never reached."""
        if self.error is not None:
            return Outcome.SKIPPED if isinstance(self.error, SkipTrack) else Outcome.FAILED
        return None if self.decision is None else self.decision.outcome

    @property
    def unwritable(self) -> str:
        """Why the genre cannot be written to the file, as far as is known: a reason of FailTrack, else ""."""
        found = (note.removeprefix(UNWRITABLE) for note in self.warnings if note.startswith(UNWRITABLE))
        return next(found, "")

    @property
    def obstacle(self) -> tuple[str, str]:
        """Reason and detail of what was skipped or failed; "" for what is neither."""
        if self.error is not None:
            return self.error.reason, self.error.detail
        if self.decision is None or self.decision.outcome is not Outcome.SKIPPED:
            return "", ""
        return self.decision.reason, f"{self.content or 'other sounds'} ({self.decision.confidence:.0%})"

    @property
    def content(self) -> str:
        """What the track is instead of music (`speech`, `animal`, `noise`, `silence`, `tone`); "" where it is music."""
        if self.error is not None or self.decision is None or self.decision.stage not in CONTENT:
            return ""
        cast = [vote for vote in self.decision.votes if vote.stage == self.decision.stage]
        return cast[-1].instead_of_music[0] if cast else ""

    @property
    def group(self) -> str:
        """The artist, album or else folder of the track: what is not split between training and test."""
        return tags_group(self.tags) or f"folder {os.path.dirname(self.path)}"


class Extractor(Protocol):
    """Turns samples into one vector of one feature kind. Deterministic; float32; always finite.

    An extractor whose one pass gives several kinds has a method `vectors(samples)` besides, which returns the vector
    of each by kind, its own among them; `extractors.registry.vectors` calls it where it is there, and
    `extractors.registry.same_pass` says beforehand which kinds come together.
    """

    kind: FeatureKind
    rate: int  # Hz, the sample rate that `vector` expects

    def vector(self, samples: Vector) -> Vector:
        """The vector, shape (kind.dimension,), of mono float32 `samples` at `rate`, shape (n,)."""
        ...


def tags_group(tags: TrackTags) -> str:
    """The artist (of the track, else of the album) or else the album that tags name; "" where they name none."""
    artist = (tags.artist or ("" if tags.compilation else tags.album_artist)).strip().casefold()
    if artist:
        return f"artist {artist}"
    album = tags.album.strip().casefold()
    return f"album {album}" if album else ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a self-check tried: whether it is as it should be (None: either way is), and what was seen."""

    name: str
    fine: bool | None
    detail: str
