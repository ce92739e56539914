"""Tracks that sound alike: exact cosines of the best stored vectors, and which feature groups are alike."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import NothingToDo
from music_reclass.explain.attribution import FEATURE_GROUPS
from music_reclass.extractors.fma518 import FAMILIES
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library, best_kind

if TYPE_CHECKING:
    from music_reclass.domain import FeatureKind, Track
    from music_reclass.features.database import Database

Floats = NDArray[np.float32]

CHUNK = 4096  # vectors in memory at a time
_SCALE = 4000  # tracks from which mean and deviation of each column are taken
_CLIP = 4.0  # deviations: one odd column does not decide
_CANDIDATES = 40  # times as many as are wanted, before artists are spread
_ALIKE = 0.3  # cosine of a feature group from which on it is a reason


class Similar(NamedTuple):
    """A track, its cosine to the seeds (-1 to 1), and the feature groups in which it is alike, the most alike first."""

    track: Track
    similarity: float
    why: tuple[str, ...]


class Scale(NamedTuple):
    """How vectors of one kind become directions."""

    mean: Floats
    deviation: Floats

    def __call__(self, rows: Floats) -> Floats:
        """Rows (n, columns) standardised, and of length one."""
        scaled = np.clip((rows - self.mean) / self.deviation, -_CLIP, _CLIP)
        return np.asarray(scaled / (np.linalg.norm(scaled, axis=1, keepdims=True) + 1e-6), dtype=np.float32)


_kept: WeakKeyDictionary[Database, tuple[object, NDArray[np.int64], Floats]] = WeakKeyDictionary()


def similar_tracks(
    database: Database,
    seeds: Sequence[Track],
    count: int,
    *,
    wanted: Callable[[Track], bool] = lambda track: True,
    per_artist: int = 2,
    keep: bool = False,
) -> list[Similar]:
    """Up to `count` tracks that are `wanted`, the most alike to all `seeds` together first; NothingToDo where a seed
    has no vectors.

    Neither the seeds nor other files with their audio, each recording once, and at most `per_artist` of an artist. All
    vectors are gone through, CHUNK at a time; with `keep` they stay in memory (4 bytes a number) for the next question
    on this connection, until the library changes.
    """
    kind = best_kind(database)
    library = Library(database)
    found = {} if kind is None else library.vectors([seed.id for seed in seeds], kind)
    lacking = next((seed for seed in seeds if seed.id not in found), None)
    if kind is None or lacking is not None:
        where = "" if lacking is None else f" of {lacking.path}"
        raise NothingToDo(f"The library has no features{where}; scan it first (reclass scan PATH).")
    scale = _scale(library, kind)
    middle = scale(np.stack(list(found.values()))).mean(axis=0)
    middle /= np.linalg.norm(middle) + 1e-6
    best: list[tuple[float, int]] = []
    for ids, rows in _directions(database, kind, scale, keep):
        cosines = rows @ middle
        chunk = zip(cosines.tolist(), ids.tolist(), strict=True)
        best = heapq.nlargest(count * _CANDIDATES + len(seeds), [*best, *chunk])
    spread = _spread(database, seeds, best, wanted, count=count, per_artist=per_artist)
    reasons = _reasons(library, seeds, [track for track, _ in spread])
    return [Similar(track, round(cosine, 4), reasons.get(track.id, ())) for track, cosine in spread]


def _scale(library: Library, kind: FeatureKind) -> Scale:
    sample = np.stack(library.sampled_vectors(kind, _SCALE))
    return Scale(sample.mean(axis=0), sample.std(axis=0) + 1e-6)


def _directions(
    database: Database, kind: FeatureKind, scale: Scale, keep: bool
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Track ids and directions of all vectors of `kind`, in parts."""
    sql = database.connection
    epoch = (kind.key, sql.execute("PRAGMA data_version").fetchone()[0], sql.total_changes)
    known = _kept.get(database)
    if known is not None and known[0] == epoch:
        yield known[1], known[2]
        return
    parts = ((ids, scale(rows)) for ids, rows in Library(database).all_vectors(kind, CHUNK))
    if not keep:
        yield from parts
        return
    gathered = list(parts)
    ids = np.concatenate([part[0] for part in gathered])
    rows = np.concatenate([part[1] for part in gathered])
    _kept[database] = (epoch, ids, rows)
    yield ids, rows


def _spread(
    database: Database,
    seeds: Sequence[Track],
    best: Sequence[tuple[float, int]],
    wanted: Callable[[Track], bool],
    *,
    count: int,
    per_artist: int,
) -> list[tuple[Track, float]]:
    seen = {seed.digest for seed in seeds}
    artists: dict[str, int] = {}
    found: list[tuple[Track, float]] = []
    decisions = Decisions(database)
    for cosine, number in best:
        for track in decisions.tracks([number]):
            if track.missing or track.error is not None or track.digest in seen or not wanted(track):
                continue
            if artists.get(track.group, 0) >= per_artist:
                continue
            seen.add(track.digest)
            artists[track.group] = artists.get(track.group, 0) + 1
            found.append((track, cosine))
        if len(found) == count:
            break
    return found


def _reasons(library: Library, seeds: Sequence[Track], tracks: Sequence[Track]) -> dict[int, tuple[str, ...]]:
    """The groups of the 518 features in which tracks are alike to the seeds, by track id; absent without these."""
    from music_reclass.models.dataset import fma518

    kind = fma518("mid30")
    first = library.vectors([seed.id for seed in seeds], kind)
    vectors = library.vectors([track.id for track in tracks], kind)
    if not first or not vectors:
        return {}
    scale = _scale(library, kind)
    middle = np.clip((np.stack(list(first.values())).mean(axis=0) - scale.mean) / scale.deviation, -_CLIP, _CLIP)
    found = {}
    for track_id, vector in vectors.items():
        row = np.clip((vector - scale.mean) / scale.deviation, -_CLIP, _CLIP)
        alike = {}
        for group, families in FEATURE_GROUPS.items():
            columns = np.concatenate([np.r_[FAMILIES[family]] for family in families])
            one, other = middle[columns], row[columns]
            alike[group] = float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-6))
        ranked = sorted(alike.items(), key=lambda item: -item[1])
        found[track_id] = tuple(group for group, cosine in ranked[:3] if cosine >= _ALIKE)
    return found
