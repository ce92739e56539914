"""The cascade: cheap stages first, expensive ones only for uncertain tracks, then the album consensus."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.albums import CORRELATION, MIN_TRACKS, consensus, group_by_album
from music_reclass.classification.policy import (
    SECOND_GENRE_SHARE,
    TIE,
    Thresholds,
    decide,
    genre_votes,
    may_exit,
    not_music,
)
from music_reclass.domain import Decision, FeatureKind, Vote
from music_reclass.errors import BundleError
from music_reclass.extractors.registry import WINDOWS, same_pass, worker_kinds
from music_reclass.models.bundle import Bundle
from music_reclass.models.early_exit import ExitRule
from music_reclass.models.exit_policy import ExitPolicy
from music_reclass.models.priors import ClassPrior, trained_frequency
from music_reclass.taxonomy import Taxonomy

if TYPE_CHECKING:
    from music_reclass.classification.extract import OnDemandFeatures
    from music_reclass.classification.tag_prior import TagVotes
    from music_reclass.domain import Track, Vector
    from music_reclass.features.library import Library

Votes = tuple[Vote, ...]
Albums = Sequence[Sequence[int]]  # the track ids of each album that votes together


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a cascade: a trained bundle, its labels as the taxonomy names them, and the exit rule that holds.

    `exit_rule` is None where the bundle has no certificate for this cascade, and at the last stage.
    """

    bundle: Bundle
    genres: tuple[str, ...]
    exit_rule: ExitRule | None = None

    @classmethod
    def from_bundle(cls, bundle: Bundle, taxonomy: Taxonomy, exit_rule: ExitRule | None = None) -> Stage:
        """The stage that `bundle` is; BundleError if a label of it is no genre of `taxonomy`."""
        return cls(bundle, _genres(bundle, taxonomy), exit_rule)

    @property
    def name(self) -> str:
        """The name under which its votes are stored."""
        return self.bundle.stage

    @property
    def kinds(self) -> tuple[FeatureKind, ...]:
        """The feature kinds of a row, side by side in this order."""
        return self.bundle.kinds

    @property
    def digest(self) -> str:
        """The digest of its bundle."""
        return self.bundle.digest

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest of its bundle."""
        return self.bundle.manifest

    @property
    def thresholds(self) -> Thresholds:
        """From which probability on it is confident, finds a genre likely, and lets a track exit."""
        return Thresholds.from_manifest(
            {**self.manifest, "thresholds": self.bundle.thresholds},
            None if self.exit_rule is None else self.exit_rule.threshold,
            dict(zip(self.bundle.labels, self.genres, strict=True)),
        )

    @property
    def frequency(self) -> dict[str, float]:
        """How frequent its bundle takes each genre to be."""
        return trained_frequency(self.manifest, self.bundle.labels, self.genres)

    def prior(self, prior: ClassPrior) -> Vote:
        """By what its probabilities are multiplied in a library of such genres."""
        return prior.vote(tuple(dict.fromkeys(self.genres)), self.frequency)

    def expected_gain(self, vote: Vote) -> float:
        """How much likelier right than `vote` the final genre is expected to become if the next stage is asked."""
        return 1.0 - vote.confidence if self.exit_rule is None else self.exit_rule.expected_gain(vote.confidence)

    def require(self, kind: FeatureKind) -> None:
        """BundleError unless vectors of `kind` are among those this stage was trained on."""
        if kind not in self.kinds:
            wanted = ", ".join(map(_described, self.kinds))
            raise BundleError(
                f"The stage {self.name} was trained on {wanted}, and the vectors at hand are {_described(kind)}; "
                "they cannot be compared, so extract again or use a bundle that was trained on these."
            )

    def votes(
        self, track_ids: Iterable[int], source: Library | OnDemandFeatures, windows: Iterable[str] = ()
    ) -> dict[int, Vote]:
        """The votes for those of `track_ids` that have a finite vector of every kind this stage needs.

        Each is the mean of the vote on its kinds' excerpt and of those on `windows`, other excerpts, as far as there
        are vectors of them. A vector of another length was made by other code: BundleError.
        """
        votes = self._votes_on(track_ids, source, self.kinds)
        for_track = {track_id: [vote] for track_id, vote in votes.items()}
        for window in windows:
            there = self._votes_on(votes, source, [replace(kind, excerpt=window) for kind in self.kinds])
            for track_id, vote in there.items():
                for_track[track_id].append(vote)
        return {track_id: mean_vote(cast) for track_id, cast in for_track.items()}

    def _votes_on(
        self, track_ids: Iterable[int], source: Library | OnDemandFeatures, kinds: Sequence[FeatureKind]
    ) -> dict[int, Vote]:
        parts: dict[int, list[Vector]] = {track_id: [] for track_id in sorted(set(track_ids))}
        for kind in kinds:
            # Asked in turn, so that an expensive kind is never extracted for a track that lacks a cheap one.
            found = source.vectors(list(parts), kind) if parts else {}
            parts = {
                track_id: [*earlier, self._checked(found[track_id], kind)]
                for track_id, earlier in parts.items()
                if track_id in found and np.isfinite(found[track_id]).all()
            }
        if not parts:
            return {}
        rows = np.stack([np.concatenate(vectors) for vectors in parts.values()])
        return dict(zip(parts, self.predict(rows), strict=True))

    def predict(self, rows: NDArray[np.float32]) -> list[Vote]:
        """One vote for each of `rows`, shape (n, sum of the kinds' dimensions).

        Labels that the taxonomy counts as one genre are added up. BundleError where the model gives no probabilities.
        """
        probabilities = np.asarray(self.bundle.predict_proba(rows), dtype=np.float64)
        if probabilities.shape != (len(rows), len(self.genres)) or not np.isfinite(probabilities).all():
            raise BundleError(f"The bundle of stage {self.name} gives no probabilities; install or train it again.")
        probabilities = np.clip(probabilities, 0.0, 1.0)
        return [self._vote(row) for row in probabilities / probabilities.sum(axis=1, keepdims=True)]

    def _vote(self, row: NDArray[np.float64]) -> Vote:
        shares = dict.fromkeys(self.genres, 0.0)
        for genre, probability in zip(self.genres, row.tolist(), strict=True):
            shares[genre] += probability
        return Vote(self.name, {genre: min(share, 1.0) for genre, share in shares.items()})

    def _checked(self, vector: Vector, kind: FeatureKind) -> Vector:
        if np.shape(vector) != (kind.dimension,):
            raise BundleError(
                f"The stage {self.name} needs {kind.dimension} numbers of kind {kind.key}, and a stored vector has the "
                f"shape {np.shape(vector)}; scan with --rescan to extract it again."
            )
        return np.asarray(vector, dtype=np.float32)


def mean_vote(votes: Sequence[Vote]) -> Vote:
    """The mean of a stage's votes on several excerpts of one track.

    Of probabilities, not of their logarithms: the mean of calibrated votes is never surer than the surest of them and,
    if anything, less sure than it could be (Ranjan and Gneiting 2010); a product counts one recording several times.
    """
    if len(votes) == 1:
        return votes[0]
    labels = votes[0].probabilities
    return Vote(votes[0].stage, {name: sum(vote.probabilities[name] for vote in votes) / len(votes) for name in labels})


def _genres(bundle: Bundle, taxonomy: Taxonomy) -> tuple[str, ...]:
    genres: list[str] = []
    for label in bundle.labels:
        genre = taxonomy.canonical(label)
        if genre is None:
            raise BundleError(
                f"The bundle {bundle.name} {bundle.version} knows the label “{label}”, which is no genre of the "
                "taxonomy; add it under [genres] or [aliases] of your taxonomy file."
            )
        genres.append(genre)
    return tuple(genres)


def _described(kind: FeatureKind) -> str:
    return f"{kind.key} ({kind.dimension} numbers)"


@dataclass(frozen=True, slots=True)
class Cascade:
    """Stages from cheap to expensive. A cascade without stages is allowed: then nothing is ever decided.

    The `content` stages vote first, about every track, and those for genres are not asked about what is no music.
    Tracks of one album vote together, so their ids come grouped: `albums` gives the groups, made once for all calls.
    """

    stages: tuple[Stage, ...]
    taxonomy: Taxonomy
    max_genres: int = 1
    by_album: bool = True  # whether the tracks of an album vote together
    absent: Mapping[str, str] = field(default_factory=dict)  # stages whose extractor cannot run here, and why
    tags: TagVotes | None = None  # what the tags of the library say, where it has taught how much they count
    prior: ClassPrior | None = None  # how frequent genres are in this library, where that is not as in the training
    policy: ExitPolicy = field(default_factory=ExitPolicy)  # by which the exits were chosen
    windows: int = 1  # excerpts of a long track that vote at the stages of the first reading
    content: tuple[Stage, ...] = ()  # tell music from other sounds; the last one that can vote on a track counts
    speech_genre: str = ""  # what speech gets; "": none, as all that is no music

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise BundleError(f"Two bundles are for the same stage ({', '.join(names)}); install one of them only.")

    @classmethod
    def from_bundles(
        cls,
        bundles: Iterable[Bundle],
        taxonomy: Taxonomy,
        *,
        max_genres: int = 1,
        by_album: bool = True,
        library_exits: Mapping[str, Sequence[ExitRule]] | None = None,
        absent: Mapping[str, str] | None = None,
        windows: int = 1,
        policy: ExitPolicy | None = None,
        content: Iterable[Bundle] = (),
        speech_genre: str = "",
    ) -> Cascade:
        """The cascade of these bundles, in their order; BundleError if one does not fit the taxonomy.

        `library_exits` are exit rules certified on the user's library, by the digest of the stage's bundle; `policy`
        chooses the exits, without one those that are certified; the labels of `content` bundles are no genres.
        """
        in_order = list(bundles)
        policy = policy or ExitPolicy()
        rules = policy.rules(in_order, library_exits)
        stages = (Stage.from_bundle(bundle, taxonomy, rule) for bundle, rule in zip(in_order, rules, strict=True))
        detectors = tuple(Stage(bundle, tuple(bundle.labels)) for bundle in content)
        return cls(
            tuple(stages),
            taxonomy,
            max_genres,
            by_album,
            absent or {},
            policy=policy,
            windows=windows,
            content=detectors,
            speech_genre=speech_genre,
        )

    @property
    def voters(self) -> tuple[Stage, ...]:
        """All stages whose votes are stored, in the order of the votes."""
        return self.content + self.stages

    @property
    def basis(self) -> str:
        """Digest of all that a decision rests on besides the vectors; another one means: decide again."""
        rests_on = {
            "stages": [
                [stage.name, stage.digest, limits.likely, limits.confident, limits.exit]
                for stage, limits in ((stage, stage.thresholds) for stage in self.voters)
            ],
            "taxonomy": self.taxonomy.digest,
            "rules": [
                self.by_album,
                self.max_genres,
                SECOND_GENRE_SHARE,
                MIN_TRACKS,
                CORRELATION,
                TIE,
                self.speech_genre,
            ],
            **({} if self.tags is None else {"tags": self.tags.prior.digest}),
            **({} if self.prior is None else {"prior": sorted(self.prior.shares.items())}),
        }
        if self.further_windows:
            rests_on["windows"] = list(self.further_windows)
        return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()

    @property
    def always_asked(self) -> tuple[Stage, ...]:
        """The stages that are asked about every track: the first, and those behind stages that let no track exit."""
        exits = [place for place, stage in enumerate(self.stages) if stage.thresholds.exit < math.inf]
        return self.stages[: exits[0] + 1] if exits else self.stages

    @property
    def first_read(self) -> tuple[FeatureKind, ...]:
        """The kinds that are extracted when a file is read, from one decode, the first stage's first: those of stages
        that are asked about every track, up to the first of them that needs a network or another excerpt."""
        if not self.stages:
            return ()
        first = self.stages[0].kinds[0]
        kinds = [first]
        for stage in self.always_asked:
            fit = [kind for kind in stage.kinds if kind.name in worker_kinds() and kind.excerpt == first.excerpt]
            if stage is not self.stages[0] and len(fit) < len(stage.kinds):
                break
            kinds += fit
        for stage in self.content:
            if all(kind.name in worker_kinds() and kind.excerpt == first.excerpt for kind in stage.kinds):
                kinds += stage.kinds
        return tuple(dict.fromkeys(kinds))

    @property
    def further_windows(self) -> tuple[str, ...]:
        """The excerpts that vote beside the middle; none where the first stage wants another excerpt than that."""
        return tuple(WINDOWS)[: self.windows - 1] if self.first_read and self.first_read[0].excerpt == "mid30" else ()

    @property
    def thresholds(self) -> dict[str, Thresholds]:
        """The thresholds of each stage by its name."""
        return {stage.name: stage.thresholds for stage in self.voters}

    def albums(self, tracks: Mapping[int, Track]) -> list[list[int]]:
        """The ids of `tracks` by album, for the other methods; none where albums do not vote together."""
        return group_by_album(tracks) if self.by_album else []

    def predict(
        self,
        track_ids: Iterable[int],
        source: Library | OnDemandFeatures,
        albums: Albums,
        known: Mapping[int, Sequence[Vote]] | None = None,
    ) -> dict[int, Votes]:
        """Every track's votes in the order of the stages, as far as `source` has vectors; () where it has none.

        A stage for genres is asked about uncertain tracks only, and never about what is no music. Votes that are
        `known` already are taken as they are, unless the track exits before that stage.
        """

        first = set(self.first_read)

        def ask(stage: Stage, tracks: list[int]) -> dict[int, Vote]:
            cast = _cast(known or {}, stage, tracks)
            windows = self.further_windows if first.issuperset(stage.kinds) else ()
            return cast | stage.votes((track for track in tracks if track not in cast), source, windows)

        content: dict[int, Votes] = dict.fromkeys(sorted(track_ids), ())
        for stage in self.content:
            for track, vote in ask(stage, list(content)).items():
                content[track] += (vote,)
        votes, _ = _run(self.stages, self._music(content), ask, albums)
        return {track: cast + votes.get(track, ()) for track, cast in content.items()}

    def uncertain(self, votes: Mapping[int, Sequence[Vote]], position: int, albums: Albums) -> list[int]:
        """The tracks about which the stage at `position` is to be asked and has not voted yet, in ascending order.

        A track exits at an earlier stage by its vote there or by its album's (`policy.may_exit`); an album's opinion
        at a stage is made of the votes up to that stage, so it does not depend on what was asked since.
        """
        name, items = self.stages[position].name, self._music(votes)
        extracted = {kind for one in self.stages[position].kinds for kind in same_pass(one.name)}
        items += [track for track in votes.keys() - set(items) if self._overruled_by(extracted, votes[track])]
        _, asked = _run(self.stages[: position + 1], items, lambda stage, tracks: _cast(votes, stage, tracks), albums)
        return [track for track in asked if all(vote.stage != name for vote in votes[track])]

    def _music(self, votes: Mapping[int, Sequence[Vote]]) -> list[int]:
        """The tracks that go on to the stages for genres."""
        thresholds = self.thresholds
        return [track for track, cast in votes.items() if not_music(cast, thresholds) is None]

    def _overruled_by(self, extracted: set[str], votes: Sequence[Vote]) -> bool:
        """Whether a content stage that comes after all those that have voted looks at one of these kinds: they may show
        that a track is music after all."""
        voted = {vote.stage for vote in votes}
        last = max((place for place, stage in enumerate(self.content) if stage.name in voted), default=-1)
        return any(kind.name in extracted for stage in self.content[last + 1 :] for kind in stage.kinds)

    def unfinished(self, votes: Mapping[int, Sequence[Vote]], albums: Albums) -> list[int]:
        """The tracks that a later stage is to be asked about and that the last one has not voted for."""
        return self.uncertain(votes, len(self.stages) - 1, albums) if len(self.stages) > 1 else []

    def decide(self, tracks: Mapping[int, Track], source: Library | OnDemandFeatures) -> dict[int, Decision]:
        """One decision a track, in ascending order; tracks of one album must come in one call."""
        albums = self.albums(tracks)
        return self.conclude(self.predict(tracks, source, albums), albums)

    def conclude(self, votes: Mapping[int, Sequence[Vote]], albums: Albums) -> dict[int, Decision]:
        """Decisions from votes that are known already: new thresholds or a new taxonomy need no audio."""
        opinions, thresholds = _opinions(votes, albums), self.thresholds
        tags = {} if self.tags is None else self.tags.votes(votes)
        priors = {} if self.prior is None else {stage.name: stage.prior(self.prior) for stage in self.stages}
        return {
            track: decide(
                cast,
                thresholds,
                self.taxonomy,
                opinions.get(track),
                prior=priors.get(cast[-1].stage) if cast else None,
                tags=tags.get(track),
                max_genres=self.max_genres,
                speech_genre=self.speech_genre,
            )
            for track, cast in votes.items()
        }


def row_votes(
    bundles: Sequence[Bundle],
    rows_of: Callable[[Bundle], NDArray[np.float32]],
    count: int,
    *,
    library_exits: Mapping[str, Sequence[ExitRule]] | None = None,
    policy: ExitPolicy | None = None,
    content: Sequence[Bundle] = (),
) -> list[Votes]:
    """The votes by which each of `count` rows is decided, in the labels of the bundles that cast them: that of the last
    of the `content` bundles that knows its vectors, and where the row is music the last stage's. Rows have no albums.

    `rows_of` gives all rows as a bundle wants them, (count, dimension). A later stage is not asked about rows that hold
    NaN: their vectors are not known. Exits are chosen as by `Cascade.from_bundles`.
    """
    rules = (policy or ExitPolicy()).rules(bundles, library_exits)
    stages = [Stage(bundle, tuple(bundle.labels), rule) for bundle, rule in zip(bundles, rules, strict=True)]

    def ask(stage: Stage, rows: list[int]) -> dict[int, Vote]:
        if not rows:
            return {}
        vectors = rows_of(stage.bundle)[rows]
        known = np.isfinite(vectors).all(axis=1) | (stage is stages[0])
        asked = np.array(rows)[known].tolist()
        return dict(zip(asked, stage.predict(vectors[known]), strict=True)) if asked else {}

    detectors = [Stage(bundle, tuple(bundle.labels)) for bundle in content]
    limits = {stage.name: stage.thresholds for stage in detectors}
    sounds: dict[int, Vote] = {}
    for detector in detectors:
        sounds.update(ask(detector, list(range(count))))
    refused = {row: vote for row, vote in sounds.items() if not_music((vote,), limits) is not None}
    music = _run(stages, (row for row in range(count) if row not in refused), ask, ())[0]
    return [
        (refused[row],) if row in refused else (*([sounds[row]] if row in sounds else []), music[row][-1])
        for row in range(count)
    ]


def _run(
    stages: Sequence[Stage],
    items: Iterable[int],
    ask: Callable[[Stage, list[int]], Mapping[int, Vote]],
    albums: Albums,
) -> tuple[dict[int, Votes], list[int]]:
    """Votes of all `items`, and those of them that the last of `stages` was asked about, both in ascending order.

    Items go on to the next stage unless an exit rule lets them go. `ask` gives a stage's votes for those items that it
    can vote for.
    """
    votes: dict[int, Votes] = dict.fromkeys(sorted(items), ())
    asked = list(votes)
    thresholds = {stage.name: stage.thresholds for stage in stages}
    for place, stage in enumerate(stages):
        if place:
            opinions = _opinions(votes, albums)
            asked = [item for item in asked if not may_exit(votes[item], thresholds, opinions.get(item))]
        for item, vote in ask(stage, asked).items():
            votes[item] += (vote,)
    return votes, asked


def _cast(votes: Mapping[int, Sequence[Vote]], stage: Stage, tracks: Iterable[int]) -> dict[int, Vote]:
    """Those of `votes` that `stage` has cast for `tracks`."""
    return {track: vote for track in tracks for vote in votes.get(track, ()) if vote.stage == stage.name}


def _opinions(votes: Mapping[int, Sequence[Vote]], albums: Albums) -> dict[int, Vote]:
    """The album's vote for each track of an album that has one; a track speaks by its last vote for a genre."""
    opinions: dict[int, Vote] = {}
    for album in albums:
        cast = {track: genre_votes(votes.get(track, ())) for track in album}
        members = [track for track in album if cast[track]]
        opinion = consensus([cast[track][-1] for track in members])
        if opinion is not None:
            opinions.update(dict.fromkeys(members, opinion))
    return opinions
