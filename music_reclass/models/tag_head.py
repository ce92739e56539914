"""Tag heads: a tagger's strengths, added up by the genre each tag belongs to, as a stage that nobody had to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.extractors.discogs import VERSION, style_table
from music_reclass.extractors.registry import TAG_HEADS
from music_reclass.extractors.weights.store import needed
from music_reclass.models.base import Arrays, Doubles, Floats
from music_reclass.models.bundle import Bundle, make
from music_reclass.models.calibration import Calibration
from music_reclass.models.precision import PLAIN, PrecisionTarget

if TYPE_CHECKING:
    from music_reclass.taxonomy import Taxonomy

TAG_HEAD = "tag-head"  # model type in manifests
# Flatter than the strengths are: nobody has measured them on music with known genres here.
_CALIBRATION = Calibration(temperature=1.25, floor=0.05)
_FAINTEST = 1e-6


@dataclass(frozen=True, slots=True)
class TagHead:
    """The strengths of all tags of a label, as its share of the strengths of all; `shares` is (tags, labels)."""

    shares: Doubles

    def log_probabilities(self, rows: Floats) -> Doubles:
        """Shape (n, labels), of strengths (n, tags)."""
        sums = np.clip(np.asarray(rows, dtype=np.float64), 0.0, 1.0) @ self.shares + _FAINTEST
        return np.asarray(np.log(sums / sums.sum(axis=1, keepdims=True)), dtype=np.float64)

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for the model to come back."""
        return {"type": TAG_HEAD}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The one matrix."""
        return {"shares": self.shares}

    def medians(self, columns: int) -> Floats | None:
        """None: nothing was trained, so there are no training rows."""
        return None


def restored(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> TagHead:
    """The model that a manifest describes; ValueError or KeyError if it is damaged."""
    shares = np.asarray(arrays["shares"], dtype=np.float64)
    if shares.shape != (columns, labels) or not np.isfinite(shares).all() or (shares < 0).any():
        raise ValueError("a tag head has one share, not negative, for each tag and label")
    return TagHead(shares)


def label_of(style: str, taxonomy: Taxonomy) -> str:
    """The label that a style of Discogs counts for: of the table's, the closest at or above its genre, else its root.

    Where there are several, the Discogs genre that stands in front of the style decides.
    """
    table = style_table()
    genre: str = table["styles"][style]
    above = (genre, *taxonomy.ancestors(genre))
    found: list[str] = [name for name in above if name in table["labels"]["names"]]
    found = [name for name in found if not any(taxonomy.is_descendant(other, name) for other in found)]
    if not found:
        return next((name for name in above if taxonomy.parent(name) is None), genre)
    family = table["genres"][style.split("---")[0]]
    near = [name for name in found if name == family or taxonomy.is_descendant(name, family)]
    return (near or found)[0]


def tag_head(stage: str) -> Bundle:
    """The bundle of a stage of TAG_HEADS; MissingWeights where its model is not installed.

    It never says `confident`, and `likely` from a cautious threshold on, until a library certifies others.
    """
    from music_reclass.taxonomy import load

    styles, taxonomy = style_table()["styles"], load()
    kind = FeatureKind(f"{stage}-styles", f"{VERSION}-{needed(TAG_HEADS[stage]).short_digest}", len(styles), "mid30")
    counted = [label_of(style, taxonomy) for style in styles]
    labels = sorted(set(counted))
    shares = (np.array(counted)[:, None] == np.array(labels)[None]).astype(np.float64)
    target, why = PrecisionTarget(), "not certified: it was never measured on music with known genres here"
    stated = {"precision": target.likely, "delta": target.delta, "count": 0, "more": None, "why": why}
    manifest = {
        "name": f"{stage}-styles", "version": "1", "stage": stage,
        "kinds": [asdict(kind)],
        "labels": labels, "thresholds": {"likely": PLAIN["likely"]},
        "certificates": {"likely": {"certified": False, **stated}},
        "calibration": _CALIBRATION.as_manifest(),
        "licence": "CC-BY-NC-SA-4.0 (the weights that give its numbers)",
    }  # fmt: skip
    return make(manifest, TagHead(shares))
