"""A stage: a bundle as a rung of the ladder, that votes for tracks whose vectors it was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.policy import Thresholds
from music_reclass.domain import FeatureKind, Vote
from music_reclass.errors import BundleError
from music_reclass.taxonomy import Taxonomy
from music_reclass.training.exits import Exit

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
    leave: Exit | None = None

    @classmethod
    def from_bundle(cls, bundle: StageBundle, taxonomy: Taxonomy, leave: Exit | None = None) -> Stage:
        """The stage that `bundle` is; BundleError if a label of it is no genre of `taxonomy`."""
        thresholds = Thresholds.from_mapping(bundle.thresholds, None if leave is None else leave.threshold)
        return cls(
            name=bundle.stage,
            kinds=tuple(bundle.kinds),
            classifier=bundle,
            genres=_genres(bundle, taxonomy),
            thresholds=thresholds,
            digest=bundle.digest,
            manifest=bundle.manifest,
            leave=leave,
        )

    def worth(self, vote: Vote) -> float:
        """What asking the next stage about a track with this vote is expected to add to the chance of being right."""
        return 1.0 - vote.confidence if self.leave is None else self.leave.expected_gain(vote.confidence)

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
