"""The order in which answers of a person teach most: uncertain tracks that stand for many others, one of each kind."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import CONTENT
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library, best_kind
from music_reclass.features.user_decisions import UserDecisions

if TYPE_CHECKING:
    from music_reclass.domain import Vote
    from music_reclass.features.database import Database

Floats = NDArray[np.float32]

POOL = 3000  # of the least sure tracks, among which is chosen: all pairs of these are compared, 36 MB
_KNOWN = 2000  # answers that were given already and are not asked for again, the newest


def review_order(database: Database, count: int, folders: Sequence[str] = ()) -> list[int]:
    """The ids of up to `count` tracks (at or below `folders`), the most informative answer first, without what the user
    has decided.

    Reads the vectors of POOL tracks whatever the size of the library; tracks without votes are left out.
    """
    kind = best_kind(database)
    decisions, library = Decisions(database), Library(database)
    if kind is None:
        return []
    pool = decisions.least_sure(max(POOL, count), folders)
    vectors = library.vectors(pool, kind)
    tracks = decisions.tracks([track for track in pool if track in vectors])
    votes = [[v for v in track.decision.votes if v.stage not in CONTENT] if track.decision else [] for track in tracks]
    asked = [(track, cast[-1]) for track, cast in zip(tracks, votes, strict=True) if cast]
    if not asked:
        return []
    answered = list(library.vectors(list(UserDecisions(database).genres_by_track())[-_KNOWN:], kind).values())
    rows = np.stack([vectors[track.id] for track, _ in asked] + answered)
    alike = directions(rows)
    uncertain = np.array([uncertainty(vote) for _, vote in asked], dtype=np.float32)
    order = informative_order(alike[: len(asked)], uncertain, alike[len(asked) :], count)
    return [asked[place][0].id for place in order]


def uncertainty(vote: Vote) -> float:
    """One less the margin between the two likeliest genres, 0 to 1."""
    first, second = (*(share for _, share in vote.top(2)), 0.0)[:2]
    return 1.0 - (first - second)


def directions(rows: Floats) -> Floats:
    """Rows of one kind, (n, columns), standardised among themselves and of length one: products are cosines."""
    scaled = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-6)
    scaled = np.clip(scaled, -4.0, 4.0)
    return np.asarray(scaled / (np.linalg.norm(scaled, axis=1, keepdims=True) + 1e-6), dtype=np.float32)


def informative_order(rows: Floats, uncertain: Floats, answered: Floats, count: int) -> list[int]:
    """Places of up to `count` of `rows` (directions): each next one is alike to the most uncertainty that none before
    it, and none of `answered`, is alike to.

    Greedy maximisation of a facility location function, which is within 1 - 1/e of the best choice (Nemhauser, Wolsey
    and Fisher 1978); for choosing what to label: Wei, Iyer and Bilmes, ICML 2015. Each cluster
    of the embeddings is asked about once before any is asked about again. Measured: benchmarks/review_order.py.
    """
    alike = np.clip(rows @ rows.T, 0.0, 1.0)
    covered = np.zeros(len(rows), dtype=np.float32)
    if len(answered):
        covered = np.clip(rows @ answered.T, 0.0, 1.0).max(axis=1)
    chosen: list[int] = []
    # What a row would add only falls, so the first one is computed again, and stays first or goes back into the line.
    line = [(-_gain(alike[place], covered, uncertain), place) for place in range(len(rows))]
    heapq.heapify(line)
    while line and len(chosen) < count:
        _, place = heapq.heappop(line)
        gain = _gain(alike[place], covered, uncertain)
        if line and -gain > line[0][0]:
            heapq.heappush(line, (-gain, place))
            continue
        chosen.append(place)
        covered = np.maximum(covered, alike[place])
    return chosen


def _gain(alike: Floats, covered: Floats, uncertain: Floats) -> float:
    return float((uncertain * np.maximum(alike - covered, 0.0)).sum())
