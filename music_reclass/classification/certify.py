"""Exit rules certified on the user's own library, by tags or by agreement with the whole cascade."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.classification.agreement import tag_agreement
from music_reclass.classification.extract import extract_missing
from music_reclass.domain import tags_group
from music_reclass.errors import NothingToDo
from music_reclass.features.certificates import LibraryExits
from music_reclass.features.library import Library
from music_reclass.features.statistics import Candidates
from music_reclass.models import early_exit as exits
from music_reclass.models.bundle import artist_digests
from music_reclass.models.early_exit import ExitRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.classification.voter import Cascade
    from music_reclass.domain import TrackTags, Vote
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import Bar

SAMPLE = 1000
"""Tracks, each of another artist, that are listened to at most unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class StageCertificate:
    """What holds for one stage of a ladder now: the sentence for people, and whether it was certified here."""

    stage: str
    sentence: str
    own: bool
    made: float | None = None  # seconds since the epoch, of an own one


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What is to be certified: by tags or by agreement, which share of all tracks may be lost at an exit, and with
    which probability that may fail; the exits of a ladder share `delta`."""

    labels: bool = True
    epsilon: float = exits.EPSILON
    delta: float = exits.DELTA


@dataclass(frozen=True, slots=True)
class Sample:
    """Tracks to certify with, each of another artist: id -> own genres (() where tags are not asked for)."""

    genres: Mapping[int, tuple[str, ...]]
    artists: int  # from which they were drawn
    tracks: int  # from which they were drawn
    known: int = 0  # artists that were left out, because a bundle of the ladder has learned from them


@dataclass(frozen=True, slots=True)
class CertifiedExits:
    """The exits of all stages but the last, by the digest of the stage's bundle, and what they rest on."""

    exits: Mapping[str, ExitRule]
    names: Mapping[str, str]  # digest -> stage
    count: int
    unheard: int  # of the sample, that not every stage could hear
    stopped: bool = False

    def missing(self, digest: str) -> int | None:
        """How many more artists a stage without a certificate needs at least, if nothing is lost among them."""
        own = self.exits[digest]
        return None if own.certified else max(0, least(own.epsilon, own.delta) - own.count)


def least(epsilon: float, delta: float) -> int:
    """The fewest independent tracks that certify `epsilon` at level `delta`, none of them lost."""
    return math.ceil(math.log(delta) / math.log1p(-epsilon))


def draw(database: Database, cascade: Cascade, labels: bool, most: int = SAMPLE, seed: int = 0) -> Sample:
    """One track an artist, drawn by `seed` from all that the first stage has heard, whatever later stages heard.

    With `labels` those alone whose own tag names a known genre; never an artist from whom a bundle of the ladder has
    learned, for it knows more about that one than about a new one. NothingToDo where there is none, or one stage only.
    """
    if len(cascade.stages) < 2:
        raise NothingToDo(
            "there is one stage only, so nobody leaves it early; install another (reclass models), or name a trained "
            "ladder with --bundle."
        )
    groups = _by_artist(database, cascade, labels)
    seen = {mark for stage in cascade.stages for mark in stage.manifest.get("training", {}).get("artists_seen", ())}
    artists = [
        name for name, mark in zip(sorted(groups), artist_digests(sorted(groups)), strict=True) if mark not in seen
    ]
    if not artists and groups:
        raise NothingToDo(
            f"the models have learned from all {len(groups):,} artists at hand, which says nothing about new ones; "
            "scan music by others, or use other bundles."
        )
    if not artists:
        raise NothingToDo(
            "no track that was listened to carries a genre of its own that is known; scan a tagged folder first "
            "(reclass scan --dry-run PATH), or leave the tags out (--label-free)."
            if labels
            else "nothing was listened to yet; scan a folder first (reclass scan --dry-run PATH)."
        )
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(artists))[:most]
    picked = (groups[artists[number]] for number in chosen)
    genres_of = dict(own[int(generator.integers(len(own)))] for own in picked)
    tracks = sum(len(groups[artist]) for artist in artists)
    return Sample(genres_of, len(artists), tracks, len(groups) - len(artists))


def _by_artist(database: Database, cascade: Cascade, labels: bool) -> dict[str, list[tuple[int, tuple[str, ...]]]]:
    """Tracks that may be drawn, with the genres of their tags, by artist."""
    own = tag_agreement(cascade)
    groups: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for track in Candidates(database).with_vector(cascade.stages[0].kinds[0], tagged=labels):
        genres = (track.tags.genres or ()) if labels else ()
        if not labels or own.counted_as(genres) is not None:
            groups.setdefault(_artist(track.path, track.tags), []).append((track.id, genres))
    return groups


def certify_exits(
    database: Database,
    cascade: Cascade,
    sample: Sample,
    promise: Guarantee,
    runner: ExtractionRunner,
    stop: Callable[[], bool],
    bar: Bar,
) -> CertifiedExits:
    """Certify the exits of `ladder` on `sample`, every stage listening to every track of it.

    By tags a track is lost where the stage's genre is not borne out by its tag and the last stage's is; without
    them where the two differ. Stopped before all was heard, it certifies nothing.
    """
    tracks = list(sample.genres)
    extract_missing(database, cascade.stages, tracks, runner, stop=stop, bar=bar)
    names = {stage.digest: stage.name for stage in cascade.stages[:-1]}
    if stop():
        return CertifiedExits({}, names, 0, 0, stopped=True)
    library = Library(database)
    votes = [stage.votes(tracks, library) for stage in cascade.stages]
    heard = [track for track in tracks if all(track in own for own in votes)]
    final = votes[-1]
    certified = {}
    own = tag_agreement(cascade)
    share = promise.delta / (len(cascade.stages) - 1)
    for place, stage in enumerate(cascade.stages[:-1]):
        against = [later.digest for later in cascade.stages[place + 1 :]]
        confidence = np.array([votes[place][track].confidence for track in heard])
        if promise.labels:
            right = _right(heard, votes[place], sample, own.agrees)
            last = _right(heard, final, sample, own.agrees)
            lost = ~right & last
        else:
            lost = np.array([votes[place][track].genre != final[track].genre for track in heard], dtype=np.bool_)
        found = exits.certify_exit_rule(
            confidence, lost, exits.RiskTarget(promise.epsilon, share, promise.labels), against=against
        )
        if promise.labels and len(heard):
            found = replace(found, gain=exits.gain_curve(confidence, last.astype(float) - right.astype(float)))
        elif stage.exit_rule is not None:
            found = replace(found, gain=stage.exit_rule.gain)
        certified[stage.digest] = found
    return CertifiedExits(certified, names, len(heard), len(tracks) - len(heard))


def _right(
    tracks: Sequence[int],
    votes: Mapping[int, Vote],
    sample: Sample,
    agrees: Callable[[str, tuple[str, ...]], bool | None],
) -> exits.Flags:
    """Whether each track's tag bears out its vote, (n,)."""
    return np.array([bool(agrees(votes[track].genre, sample.genres[track])) for track in tracks], dtype=np.bool_)


def _artist(path: str, tags: TrackTags) -> str:
    return tags_group(tags) or f"folder {os.path.dirname(path)}"


def store_exits(database: Database, calibration: CertifiedExits) -> None:
    """Store the exits; every later scan of this library uses them."""
    LibraryExits(database).save({digest: exits.exit_as_manifest(own) for digest, own in calibration.exits.items()})


def library_exits(database: Database, digests: Sequence[str]) -> dict[str, tuple[ExitRule, ...]]:
    """The exits certified on this library for bundles with these digests: what a `Ladder` takes."""
    found = LibraryExits(database).of(digests)
    return {digest: tuple(map(exits.exit_from_manifest, stated)) for digest, stated in found.items()}


def certificates_of(database: Database, cascade: Cascade) -> tuple[StageCertificate, ...]:
    """What holds for each stage of `ladder` but the last."""
    made = LibraryExits(database).dates()
    found = []
    for place, stage in enumerate(cascade.stages[:-1]):
        later = tuple(other.digest for other in cascade.stages[place + 1 :])
        at = made.get((stage.digest, later))
        sentence = (
            "never exits: no certificate for this ladder" if stage.exit_rule is None else stage.exit_rule.sentence()
        )
        found.append(StageCertificate(stage.name, sentence, at is not None, at))
    return tuple(found)
