"""The cascade: cheap stages first, expensive ones only for uncertain tracks, then the album consensus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.albums import CORRELATION, MIN_TRACKS, TaggedTrack, albums, consensus
from music_reclass.classification.policy import SECOND_GENRE_SHARE, Thresholds, decide, may_exit
from music_reclass.domain import Decision, FeatureKind, Vote
from music_reclass.errors import BundleError
from music_reclass.models import early_exit as exits
from music_reclass.models.bundle import Bundle
from music_reclass.models.early_exit import ExitRule
from music_reclass.taxonomy import Taxonomy

if TYPE_CHECKING:
    from music_reclass.domain import Vector


class FeatureSource(Protocol):
    """Where vectors come from: the library, or an extractor that is asked only now."""

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, Vector]:
        """The vectors, each of shape (kind.dimension,), of those of `track_ids` that have one of this very kind."""
        ...


class Predictor(Protocol):
    """Calibrated probabilities for rows of vectors."""

    def predict_proba(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Shape (n, labels), rows sum to one; `rows` is (n, sum of the kinds' dimensions)."""
        ...


class StageBundle(Predictor, Protocol):
    """What a stage needs of a trained bundle (`training.bundles.Bundle` has it)."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def kinds(self) -> tuple[FeatureKind, ...]: ...
    @property
    def thresholds(self) -> Mapping[str, float | None]: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One rung: the feature kinds it needs, side by side in this order, its classifier and its thresholds.

    `genres` are the classifier's labels as the taxonomy calls them, in the classifier's order. `leave` is the
    certificate of its exit in the ladder that it is part of; None where there is none, and on the last rung.
    """

    name: str
    kinds: tuple[FeatureKind, ...]
    classifier: Predictor
    genres: tuple[str, ...]
    thresholds: Thresholds
    digest: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    exit_rule: ExitRule | None = None

    @classmethod
    def from_bundle(cls, bundle: StageBundle, taxonomy: Taxonomy, exit_rule: ExitRule | None = None) -> Stage:
        """The stage that `bundle` is; BundleError if a label of it is no genre of `taxonomy`."""
        thresholds = Thresholds.from_mapping(bundle.thresholds, None if exit_rule is None else exit_rule.threshold)
        return cls(
            name=bundle.stage,
            kinds=tuple(bundle.kinds),
            classifier=bundle,
            genres=_genres(bundle, taxonomy),
            thresholds=thresholds,
            digest=bundle.digest,
            manifest=bundle.manifest,
            exit_rule=exit_rule,
        )

    def worth(self, vote: Vote) -> float:
        """What asking the next stage about a track with this vote is expected to add to the chance of being right."""
        return 1.0 - vote.confidence if self.exit_rule is None else self.exit_rule.expected_gain(vote.confidence)

    def require(self, kind: FeatureKind) -> None:
        """BundleError unless vectors of `kind` are among those this stage was trained on."""
        if kind not in self.kinds:
            wanted = ", ".join(_described(own) for own in self.kinds)
            raise BundleError(
                f"The stage {self.name} was trained on {wanted}, and the vectors at hand are {_described(kind)}; "
                "they cannot be compared, so extract again or use a bundle that was trained on these."
            )

    def votes(self, track_ids: Iterable[int], source: FeatureSource) -> dict[int, Vote]:
        """The votes for those of `track_ids` that have a sound vector of every kind this stage needs.

        A vector of another length was made by other code: BundleError.
        """
        parts: dict[int, list[Vector]] = {track_id: [] for track_id in sorted(set(track_ids))}
        for kind in self.kinds:
            # Asked in turn, so that a dear kind is never extracted for a track that lacks a cheap one.
            found = source.vectors(list(parts), kind) if parts else {}
            parts = {
                track_id: [*earlier, self._checked(found[track_id], kind)]
                for track_id, earlier in parts.items()
                if track_id in found and np.isfinite(found[track_id]).all()
            }
        if not parts:
            return {}
        rows = np.stack([np.concatenate(vectors) for vectors in parts.values()])
        probabilities = np.asarray(self.classifier.predict_proba(rows), dtype=np.float64)
        if probabilities.shape != (len(parts), len(self.genres)) or not np.isfinite(probabilities).all():
            raise BundleError(f"The bundle of stage {self.name} gives no probabilities; install or train it again.")
        return {track_id: self._vote(row) for track_id, row in zip(parts, probabilities, strict=True)}

    def _checked(self, vector: Vector, kind: FeatureKind) -> Vector:
        if np.shape(vector) != (kind.dimension,):
            raise BundleError(
                f"The stage {self.name} needs {kind.dimension} numbers of kind {kind.key}, and a stored vector has the "
                f"shape {np.shape(vector)}; scan with --rescan to extract it again."
            )
        return np.asarray(vector, dtype=np.float32)

    def _vote(self, row: NDArray[np.float64]) -> Vote:
        """Labels that the taxonomy counts as one genre are added up."""
        row = np.clip(row, 0.0, 1.0)
        shares = dict.fromkeys(self.genres, 0.0)
        for genre, probability in zip(self.genres, row / row.sum(), strict=True):
            shares[genre] += float(probability)
        return Vote(self.name, {genre: min(share, 1.0) for genre, share in shares.items()})


def _genres(bundle: StageBundle, taxonomy: Taxonomy) -> tuple[str, ...]:
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


Votes = tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class Cascade:
    """Stages from cheap to dear. A ladder without stages is allowed: then nothing is ever decided."""

    stages: tuple[Stage, ...]
    taxonomy: Taxonomy
    max_genres: int = 1
    by_album: bool = True  # whether the tracks of an album vote together
    absent: Mapping[str, str] = field(default_factory=dict)  # stages that cannot listen here, and why

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise BundleError(f"Two bundles are for the same stage ({', '.join(names)}); install one of them only.")

    @classmethod
    def from_bundles(
        cls,
        bundles: Iterable[StageBundle],
        taxonomy: Taxonomy,
        max_genres: int = 1,
        by_album: bool = True,
        own_exits: Mapping[str, Sequence[ExitRule]] | None = None,
        absent: Mapping[str, str] | None = None,
    ) -> Cascade:
        """The ladder of these bundles, in their order; BundleError if one does not fit the taxonomy.

        A stage exits by the certificate that was made with just these later stages behind it: one of `own_exits`
        (the user's own, by the digest of the stage's bundle), else one of its bundle. Without one it never does.
        """
        rungs = list(bundles)
        stages = []
        for place, bundle in enumerate(rungs):
            later = [other.digest for other in rungs[place + 1 :]]
            exit_rule = None
            if later:
                own = exits.fitting_exit_rule((own_exits or {}).get(bundle.digest, ()), later)
                exit_rule = own or exits.fitting_exit_rule(exits.exit_rules_of(bundle.manifest), later)
            stages.append(Stage.from_bundle(bundle, taxonomy, exit_rule))
        return cls(tuple(stages), taxonomy, max_genres, by_album, absent or {})

    @property
    def basis(self) -> str:
        """Digest of all that a decision rests on besides the vectors; another one means: decide again."""
        rests_on = {
            "stages": [
                [stage.name, stage.digest, limits.likely, limits.confident, limits.exit]
                for stage, limits in ((stage, stage.thresholds) for stage in self.stages)
            ],
            "taxonomy": self.taxonomy.digest,
            "rules": [self.by_album, self.max_genres, SECOND_GENRE_SHARE, MIN_TRACKS, CORRELATION],
        }
        return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()

    @property
    def thresholds(self) -> dict[str, Thresholds]:
        """The thresholds of each stage by its name."""
        return {stage.name: stage.thresholds for stage in self.stages}

    def climb(
        self,
        tracks: Mapping[int, TaggedTrack],
        source: FeatureSource,
        votes: Mapping[int, Sequence[Vote]] | None = None,
    ) -> dict[int, Votes]:
        """Every track's votes in the order of the stages, as far as `source` has vectors; () where it has none.

        A stage is asked about the tracks in doubt only. `votes` that are known already are taken as they are, unless
        the track leaves the ladder before that stage.
        """
        found: dict[int, Votes] = dict.fromkeys(sorted(tracks), ())
        for position, stage in enumerate(self.stages):
            asked = self.uncertain(tracks, found, position)
            known = {i: vote for i in asked for vote in (votes or {}).get(i, ()) if vote.stage == stage.name}
            fresh = stage.votes([track_id for track_id in asked if track_id not in known], source)
            for track_id, vote in (known | fresh).items():
                found[track_id] += (vote,)
        return found

    def uncertain(
        self, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]], position: int
    ) -> list[int]:
        """The tracks about which the stage at `position` is to be asked and has not voted yet, in ascending order.

        A track leaves the ladder at an earlier stage by its own vote or by its album's (`policy.may_leave`); an
        album's opinion at a stage is made of the votes up to that stage, so it does not depend on what was asked since.
        """
        names = [stage.name for stage in self.stages]
        thresholds = self.thresholds
        staying = sorted(tracks)
        for place in range(1, position + 1):
            known = {i: [vote for vote in votes.get(i, ()) if vote.stage in names[:place]] for i in tracks}
            opinions = self._opinions_of_albums(tracks, known) if self.by_album else {}
            staying = [i for i in staying if not may_exit(known[i], thresholds, opinions.get(i))]
        return [i for i in staying if all(vote.stage != names[position] for vote in votes.get(i, ()))]

    def unfinished(self, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]]) -> list[int]:
        """The tracks that a later stage is to be asked about and that the last one has not voted for."""
        return self.uncertain(tracks, votes, len(self.stages) - 1) if len(self.stages) > 1 else []

    def decide(self, tracks: Mapping[int, TaggedTrack], source: FeatureSource) -> dict[int, Decision]:
        """One decision a track, in the order of `tracks`; tracks of one album must come in one call."""
        return self.conclude(tracks, self.climb(tracks, source))

    def conclude(self, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]]) -> dict[int, Decision]:
        """Decisions from votes that are known already: new thresholds or a new taxonomy need no audio."""
        opinions = self._opinions_of_albums(tracks, votes) if self.by_album else {}
        thresholds = self.thresholds
        return {
            track_id: decide(
                votes.get(track_id, ()), thresholds, self.taxonomy, opinions.get(track_id), self.max_genres
            )
            for track_id in tracks
        }

    def _opinions_of_albums(
        self, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]]
    ) -> dict[int, Vote]:
        """The album's vote for each track of an album that has one; a track speaks by its last vote."""
        voters = {track_id: track for track_id, track in tracks.items() if votes.get(track_id)}
        opinions: dict[int, Vote] = {}
        for members in albums(voters):
            opinion = consensus([votes[track_id][-1] for track_id in members])
            if opinion is not None:
                opinions.update(dict.fromkeys(members, opinion))
        return opinions


@dataclass(frozen=True, slots=True)
class RowVote:
    """The last vote for one row, in the labels of the bundle that cast it."""

    stage: str
    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]  # (labels,), calibrated
    exited: bool  # whether a later stage would have been asked if the row had not reached a certified exit

    @property
    def genre(self) -> str:
        """The likeliest label."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return float(self.probabilities.max())


def predict_rows(
    stages: Sequence[Bundle], rows_of: Callable[[Bundle], NDArray[np.float32]], count: int
) -> list[RowVote]:
    """The last vote for each of `count` rows; `rows_of` gives all rows as a bundle wants them, (count, dimension).

    Stages are asked in their order, and each about those rows only that have not reached the exit of one before it,
    by the certificates that the bundles hold for just this ladder. Rows have no albums.
    """
    found: list[RowVote | None] = [None] * count
    inside = np.arange(count)
    for place, bundle in enumerate(stages):
        later = [other.digest for other in stages[place + 1 :]]
        own = exits.fitting_exit_rule(exits.exit_rules_of(bundle.manifest), later) if later else None
        exit_rule = Thresholds.from_mapping(bundle.thresholds, None if own is None else own.threshold).exit
        if not len(inside):
            break
        probabilities = bundle.predict_proba(rows_of(bundle)[inside])
        gone = (probabilities.max(axis=1) >= exit_rule) if later else np.zeros(len(inside), dtype=np.bool_)
        for row, shares, left in zip(inside.tolist(), probabilities, gone.tolist(), strict=True):
            found[row] = RowVote(bundle.stage, bundle.labels, shares, left)
        inside = inside[~gone]
    return [vote for vote in found if vote is not None]
