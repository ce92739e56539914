"""Exit rules, and the thresholds of stages without training, certified on the user's library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.agreement import tag_agreement
from music_reclass.classification.extract import extract_missing
from music_reclass.errors import NothingToDo
from music_reclass.features.library import Library
from music_reclass.features.results import LibraryCalibrations, LibraryExits
from music_reclass.features.user_decisions import UserDecisions
from music_reclass.models.bundle import artist_digests
from music_reclass.models.early_exit import (
    ExitRule,
    RiskTarget,
    certify_exit_rule,
    exit_as_manifest,
    exit_from_manifest,
    gain_curve,
)
from music_reclass.models.precision import PrecisionTarget, certified_thresholds
from music_reclass.utils.progress import progress_bar
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.classification.voter import Cascade
    from music_reclass.domain import Vote
    from music_reclass.features.database import Database
    from music_reclass.models.bundle import Bundle
    from music_reclass.models.precision import Certificate
    from music_reclass.utils.progress import Bar

SAMPLE = 1000
"""Tracks, each of another artist, that are certified on at most unless something else is asked for."""

Genres = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CalibrationSample:
    """Tracks to certify with, each of another artist, by id with the genres of their tags (() without tags)."""

    genres: Mapping[int, Genres]
    artists: int  # from which they were drawn
    tracks: int  # from which they were drawn
    known: int = 0  # artists that were left out, because a bundle of the cascade was trained on them


@dataclass(frozen=True, slots=True)
class StageCertificate:
    """What holds for one stage of a cascade now: the sentence for people, and when it was certified on this library."""

    stage: str
    sentence: str
    made: float | None = None  # seconds since the epoch; None: it comes with the bundle

    @property
    def from_library(self) -> bool:
        """Whether it was certified on this library."""
        return self.made is not None

    def as_json(self) -> dict[str, Any]:
        """The certificate as plain values; `own` says that it is this library's."""
        return {"stage": self.stage, "sentence": self.sentence, "own": self.from_library, "made": self.made}


def more_artists(rule: ExitRule) -> int | None:
    """How many more artists an uncertified rule needs at least, if nothing is lost among them; None for a certified."""
    return None if rule.certified else max(0, RiskTarget(rule.epsilon, rule.delta).fewest - rule.count)


def draw(
    database: Database, cascade: Cascade, *, by_tags: bool, most: int = SAMPLE, seed: int = 0
) -> CalibrationSample:
    """One track an artist, drawn by `seed` from all that have the first stage's features, whatever later stages have.

    With `by_tags` those alone whose tag, given by the user, names a known genre; never an artist that a bundle of the
    cascade was trained on, where it is right more often than on a new one. NothingToDo where there is none, or one
    stage only. Nothing is written.
    """
    if len(cascade.stages) < 2:
        raise NothingToDo(
            "There is one stage only, so no track exits it early; install another (reclass models), or name a trained "
            "cascade with --bundle."
        )
    groups = _by_artist(database, cascade, by_tags)
    learned = {mark for stage in cascade.stages for mark in stage.manifest.get("training", {}).get("artists_seen", ())}
    names = sorted(groups)
    artists = [name for name, mark in zip(names, artist_digests(names), strict=True) if mark not in learned]
    if not artists and groups:
        raise NothingToDo(
            f"The models have learned from all {counted(len(groups), 'artist')} at hand, which says "
            "nothing about new ones; scan music by others, or use other bundles."
        )
    if not artists:
        raise NothingToDo(
            "no track with features carries a known genre that you gave; scan a tagged folder first "
            "(reclass scan --dry-run PATH), or leave the tags out (--label-free)."
            if by_tags
            else "no track has features yet; scan a folder first (reclass scan --dry-run PATH)."
        )
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(artists))[:most]
    picked = (groups[artists[number]] for number in chosen)
    genres_of = dict(tracks[int(generator.integers(len(tracks)))] for tracks in picked)
    count = sum(len(groups[artist]) for artist in artists)
    return CalibrationSample(genres_of, len(artists), count, len(groups) - len(artists))


def _by_artist(database: Database, cascade: Cascade, by_tags: bool) -> dict[str, list[tuple[int, Genres]]]:
    """Tracks that may be drawn, by artist, with the genres of their tags, or those that the user decided."""
    agreement, library, kind = tag_agreement(cascade), Library(database), cascade.stages[0].kinds[0]
    groups: dict[str, list[tuple[int, Genres]]] = {}
    decided = UserDecisions(database).genres_by_track() if by_tags else {}
    untagged = library.having(sorted(decided.keys() - library.user_genres(decided).keys()), kind)
    others = (track for track in library.tracks(sorted(untagged)) if not track.missing and track.error is None)
    for track in chain(library.tracks_with(kind, tagged_by_user=by_tags), others):
        genres = (decided.get(track.id) or track.tags.genres or ()) if by_tags else ()
        if not by_tags or agreement.counted_as(genres) is not None:
            groups.setdefault(track.group, []).append((track.id, genres))
    return groups


def certify_exits(
    database: Database,
    cascade: Cascade,
    sample: CalibrationSample,
    runner: ExtractionRunner,
    *,
    target: RiskTarget,
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> dict[str, ExitRule]:
    """The exit rules of all stages but the last by the digest of the stage's bundle, every stage voting on the sample.

    The exits share the delta of `target`. By tags a track is lost where the stage's genre disagrees with its tag and
    the last stage's agrees; without them where the two genres differ. {} where `stop` came before all vectors were
    extracted.
    """
    extract_missing(database, cascade.stages, list(sample.genres), runner, stop=stop, bar=bar)
    if stop():
        return {}
    library = Library(database)
    votes = [stage.votes(sample.genres, library) for stage in cascade.stages]
    tracks = [track for track in sample.genres if all(track in cast for cast in votes)]
    agrees = tag_agreement(cascade).agrees

    def right(cast: Mapping[int, Vote]) -> NDArray[np.bool_]:
        """Whether each track's tag agrees with its vote, (n,)."""
        return np.array([bool(agrees(cast[track].genre, sample.genres[track])) for track in tracks], dtype=np.bool_)

    rules = {}
    *earlier, last = votes
    for place, (stage, cast) in enumerate(zip(cascade.stages, earlier, strict=False)):
        against = [later.digest for later in cascade.stages[place + 1 :]]
        confidence = np.array([cast[track].confidence for track in tracks])
        if target.labels:
            lost = ~right(cast) & right(last)
        else:
            lost = np.array([cast[track].genre != last[track].genre for track in tracks], dtype=np.bool_)
        rule = certify_exit_rule(confidence, lost, target.shared(len(earlier)), against=against)
        if target.labels and tracks:
            rule = replace(rule, gain=gain_curve(confidence, right(last).astype(float) - right(cast).astype(float)))
        elif stage.exit_rule is not None:
            rule = replace(rule, gain=stage.exit_rule.gain)
        rules[stage.digest] = rule
    return rules


def store_exits(database: Database, rules: Mapping[str, ExitRule]) -> None:
    """Store exit rules by the digest of the stage's bundle; every later scan of this library uses them."""
    LibraryExits(database).save({digest: exit_as_manifest(rule) for digest, rule in rules.items()})


def certify_thresholds(
    database: Database, cascade: Cascade, sample: CalibrationSample
) -> dict[str, dict[str, Certificate]]:
    """The thresholds of every stage that nobody trained, by the digest of its bundle: what their tags certify.

    The stages must have voted on the sample, which must be drawn by tags. A stage that voted on no track is left out.
    """
    agrees, library = tag_agreement(cascade).agrees, Library(database)
    found = {}
    for stage in cascade.stages:
        cast = stage.votes(sample.genres, library) if untrained(stage.bundle) else {}
        if cast:
            right = np.array([bool(agrees(vote.genre, sample.genres[track])) for track, vote in cast.items()])
            confidence = np.array([vote.confidence for vote in cast.values()])
            groups = np.arange(len(cast))  # one track an artist
            found[stage.digest] = certified_thresholds([(confidence, right)], groups, PrecisionTarget())
    return found


def untrained(bundle: Bundle) -> bool:
    """Whether the bundle's thresholds are guesses until a library certifies others."""
    return bool(bundle.manifest.get("model", {}).get("type") == "tag-head")


def store_thresholds(database: Database, thresholds: Mapping[str, Mapping[str, Certificate]]) -> None:
    """Store the thresholds of stages by the digest of their bundles; every later scan of this library uses them."""
    results = {}
    for digest, found in thresholds.items():
        stated = {
            "thresholds": {word: one.threshold for word, one in found.items() if one.threshold is not None},
            "certificates": {word: one.as_manifest() for word, one in found.items()},
        }
        results[LibraryCalibrations.thresholds_of(digest)] = stated
    LibraryCalibrations(database).save(results)


def with_library_thresholds(bundle: Bundle, database: Database) -> Bundle:
    """The bundle with the thresholds that were certified on this library, if any were; its digest stays."""
    if not untrained(bundle):
        return bundle
    stated = LibraryCalibrations(database).of(LibraryCalibrations.thresholds_of(bundle.digest))
    if stated is None:
        return bundle
    return replace(bundle, thresholds=stated["thresholds"], manifest={**bundle.manifest, **stated})


def stored_exits(database: Database, digests: Sequence[str]) -> dict[str, tuple[ExitRule, ...]]:
    """The exit rules certified on this library, by the digest of the stage's bundle."""
    found = LibraryExits(database).of(digests)
    return {digest: tuple(map(exit_from_manifest, stated)) for digest, stated in found.items()}


def certificates_of(database: Database, cascade: Cascade) -> tuple[StageCertificate, ...]:
    """What holds for each stage of `cascade` but the last."""
    made = LibraryExits(database).dates()
    return tuple(
        StageCertificate(
            stage.name,
            "never exits: no certificate for this cascade" if stage.exit_rule is None else stage.exit_rule.sentence(),
            made.get((stage.digest, _digests(cascade, place + 1))),
        )
        for place, stage in enumerate(cascade.stages[:-1])
    )


def _digests(cascade: Cascade, first: int) -> tuple[str, ...]:
    return tuple(stage.digest for stage in cascade.stages[first:])
