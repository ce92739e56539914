"""A ladder of linear heads, fitted on the vectors that a library holds: for runs that are about listening."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.features.library import Library
from music_reclass.models.bundle import Bundle, make
from music_reclass.models.dataset import Table
from music_reclass.models.early_exit import ExitRule, exit_as_manifest
from music_reclass.models.linear import linear_estimator

CLASSES = ("Classical", "Jazz", "Rock")


def ladder_of_heads(library: Library, tracks: Sequence[int], kinds: Sequence[FeatureKind]) -> list[Bundle]:
    """One bundle a kind, each of which sees the kinds before it too; the surest third may leave at
    the first of three, the surest two thirds at the second.

    The labels are made up, in turn: what matters is that heads fitted on these vectors differ from track to track.
    """
    labels = np.eye(len(CLASSES), dtype=bool)[np.arange(len(tracks)) % len(CLASSES)]
    made: list[Bundle] = []
    for count in range(len(kinds), 0, -1):  # the last first: an exit names the digests of what is behind it
        own = kinds[:count]
        stored = [library.vectors(tracks, kind) for kind in own]
        rows = np.stack([np.concatenate([vectors[track] for vectors in stored]) for track in tracks])
        columns = (*COLUMNS, *(f"dear_{number}" for number in range(rows.shape[1] - len(COLUMNS))))
        everyone = np.arange(len(tracks))
        table = Table(columns, rows, CLASSES, labels, everyone, np.full(len(tracks), ""))
        model = linear_estimator(strength=0.003).fit(table, None)
        confidence = np.sort(np.exp(model.log_probabilities(rows)).max(axis=1))
        manifest = {
            "name": f"head-{own[-1].name}", "version": "1", "stage": own[-1].name,
            "kinds": [asdict(kind) for kind in own], "labels": CLASSES,
            "thresholds": {"confident": between(confidence, 2), "likely": between(confidence, len(tracks) - 1)},
            "calibration": {"temperature": 1.0, "doubt": 0.0},
        }  # fmt: skip
        if made:
            exit_rule = ExitRule(
                round(float(confidence[-len(tracks) * count // len(kinds)]), 6), against=[m.digest for m in made]
            )
            manifest["exits"] = [exit_as_manifest(exit_rule)]
        made.insert(0, make(manifest, model))
    return made


def between(confidence: np.ndarray, count: int) -> float:
    """A threshold that `count` of the ascending confidences reach, and none of them nearly."""
    return round(float(confidence[-count - 1 : len(confidence) - count + 1].mean()), 6)
