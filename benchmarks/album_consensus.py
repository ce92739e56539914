"""What album consensus is worth: out-of-fold votes of tracks, pooled by artist, at several correlations.

The training table names artists, not albums, so an artist with three or more clips stands for an album; its clips are
less alike than tracks of one album, which makes this the harder test. Run:

    python benchmarks/album_consensus.py ../shared/data/training/genre_clips.npz
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from music_reclass.classification import albums
from music_reclass.domain import Vote

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LIKELY, CONFIDENT = 0.6, 0.8
EXITS = (0.5, 0.6, 0.7, 0.8)


def out_of_fold(rows: Floats, labels: Bools, groups: NDArray[np.int64], seed: int) -> Floats:
    """Probabilities of a logistic regression for artists it never saw, shape of `labels`; label sets by EM."""
    result = np.zeros(labels.shape)
    for train, test in GroupKFold(5, shuffle=True, random_state=seed).split(rows, groups=groups):
        scale = make_pipeline(
            QuantileTransformer(n_quantiles=200, output_distribution="normal", random_state=0), StandardScaler()
        )
        known, new = (np.clip(part, -3, 3) for part in (scale.fit_transform(rows[train]), scale.transform(rows[test])))
        wanted = labels[train] / labels[train].sum(1, keepdims=True)
        clip, label = np.nonzero(labels[train])
        for _ in range(4):
            weights = np.maximum(wanted[clip, label], 1e-4)
            model = LogisticRegression(C=0.003, max_iter=200).fit(known[clip], label, sample_weight=weights)
            wanted = model.predict_proba(known) * labels[train]
            wanted /= wanted.sum(1, keepdims=True)
        result[test] = model.predict_proba(new)
    return result


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Sharper below 1, flatter above."""
    powers = np.maximum(probabilities, 1e-9) ** (1 / temperature)
    return np.asarray(powers / powers.sum(1, keepdims=True))


def told(probabilities: Floats, labels: Bools) -> tuple[Floats, Bools]:
    """Confidence of the first genre, and whether it is in the label set."""
    return probabilities.max(1), labels[np.arange(len(labels)), probabilities.argmax(1)]


def log_loss(confidence: Floats, right: Bools) -> float:
    """Mean log loss of `confidence` as the probability of being right."""
    sure = np.clip(confidence, 1e-6, 1 - 1e-6)
    return float(-np.where(right, np.log(sure), np.log(1 - sure)).mean())


def calibration_error(confidence: Floats, right: Bools, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    used = [place == k for k in range(bins) if (place == k).any()]
    return float(sum(abs(confidence[k].mean() - right[k].mean()) * k.mean() for k in used))


def pooled(probabilities: Floats, members: list[NDArray[np.int64]], correlation: float) -> Floats:
    """Every member's row replaced by its album's consensus."""
    result = probabilities.copy()
    with mock.patch.object(albums, "CORRELATION", correlation):
        for rows in members:
            votes = [Vote("fma", dict(enumerate(probabilities[row].tolist()))) for row in rows]  # type: ignore[arg-type]
            vote = albums.consensus(votes)
            if vote is not None:
                result[rows] = list(vote.probabilities.values())
    return result


def ladder_rule(own: Floats, album: Floats) -> Floats:
    """What policy.decide does: a track that is sure keeps its own opinion, the others take the album's."""
    return np.where((own.max(1) >= CONFIDENT)[:, None], own, album)


def row(probabilities: Floats, labels: Bools) -> list[float]:
    """Accuracy, mean confidence, log loss, calibration error, coverage and precision."""
    confidence, right = told(probabilities, labels)
    cells = [right.mean(), confidence.mean(), log_loss(confidence, right), calibration_error(confidence, right)]
    for limit in (CONFIDENT, LIKELY):
        taken = confidence >= limit
        cells += [taken.mean(), right[taken].mean() if taken.any() else float("nan")]
    return [float(cell) for cell in cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="how many partitions of the artists to average over")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # 200 iterations are close enough to compare rules
    with np.load(arguments.table, allow_pickle=False) as table:
        rows, labels, groups = table["fma518"].astype(float), table["labels"], table["group"]
        heard = np.concatenate([rows, table["musicnn"].astype(float)], axis=1) if "musicnn" in table.files else None
    members = [np.nonzero(groups == group)[0] for group in np.unique(groups)]
    members = [rows_of for rows_of in members if len(rows_of) >= albums.MIN_TRACKS]
    chosen = np.concatenate(members)
    print(
        f"{len(members)} artists with {albums.MIN_TRACKS} or more clips, {len(chosen)} clips, "
        f"{arguments.seeds} partitions"
    )
    results: dict[str, list[list[float]]] = {}
    moves: dict[str, list[tuple[int, int, int]]] = {}
    leaving: dict[float, list[list[float]]] = {}
    for seed in range(arguments.seeds):
        raw = out_of_fold(rows, labels, groups, seed)
        best = minimize_scalar(
            lambda t, p=raw: log_loss(*told(tempered(p, t), labels)), bounds=(0.2, 4), method="bounded"
        )
        own = tempered(raw, best.x)
        results.setdefault("each track alone", []).append(row(own[chosen], labels[chosen]))
        for correlation in (0.0, 0.25, 0.5, 0.6, 0.7, albums.CORRELATION, 0.8, 0.9, 1.0):
            album = pooled(own, members, correlation)
            results.setdefault(f"album, r = {correlation}", []).append(row(album[chosen], labels[chosen]))
        album = pooled(own, members, albums.CORRELATION)
        both = ladder_rule(own[chosen], album[chosen])
        results.setdefault("sure tracks keep theirs", []).append(row(both, labels[chosen]))
        count_moves(moves, own[chosen], album[chosen], labels[chosen])
        if heard is not None:
            final = told(out_of_fold(heard, labels, groups, seed)[chosen], labels[chosen])[1]
            for limit in EXITS:
                leaving.setdefault(limit, []).append(left_at(limit, own[chosen], album[chosen], labels[chosen], final))
    print(f"{'':26}hit@1  conf   logl   ECE    >={CONFIDENT}  right  >={LIKELY}  right")
    for name, cells in results.items():
        print(f"{name:26}" + "  ".join(f"{cell:.3f}" for cell in np.nanmean(cells, axis=0)))
    print("\nwhere a track and its album differ in outcome (clips over all partitions, own right, album right)")
    for name, counts in sorted(moves.items()):
        total, own_right, album_right = np.sum(counts, axis=0)
        print(f"{name:44}{total:5}  {own_right / total:.2f}  {album_right / total:.2f}")
    if leaving:
        print("\nleaving before the second stage (shares of these clips; lost: wrong where the second stage is right)")
        print("exit   by itself  lost    by its album too  lost    the track does not agree  lost")
    for limit, cells in leaving.items():
        own_out, own_lost, more, more_lost, other, other_lost = np.mean(cells, axis=0)
        print(
            f"{limit:.2f}   {own_out:6.3f}     {own_lost:.3f}   {more:6.3f}            {more_lost:.3f}   "
            f"{other:6.3f}                    {other_lost:.3f}"
        )


def left_at(limit: float, own: Floats, album: Floats, labels: Bools, final: Bools) -> list[float]:
    """Shares that leave by their own vote, by the album that agrees, by one that does not; each with what it loses.

    A track that leaves by its album has the album's genre, which is its own where both agree.
    """
    (mine, right), (ours, ours_right) = told(own, labels), told(album, labels)
    agrees = own.argmax(1) == album.argmax(1)
    alone = mine >= limit
    cells: list[float] = []
    for out, good in ((alone, right), (~alone & (ours >= limit) & agrees, ours_right),
                      (~alone & (ours >= limit) & ~agrees, ours_right)):  # fmt: skip
        cells += [float(out.mean()), float((out & ~good & final).mean())]
    return cells


def count_moves(moves: dict[str, list[tuple[int, int, int]]], own: Floats, album: Floats, labels: Bools) -> None:
    """Adds up, by the outcomes of track and album, how many clips there are and who was right."""
    names = ("unsure", "likely", "confident")
    (mine, mine_right), (ours, ours_right) = told(own, labels), told(album, labels)
    mine_level, ours_level = (np.digitize(part, [LIKELY, CONFIDENT]) for part in (mine, ours))
    for i, first in enumerate(names):
        for j, second in enumerate(names):
            here = (mine_level == i) & (ours_level == j)
            if i != j and here.any():
                counts = (int(here.sum()), int(mine_right[here].sum()), int(ours_right[here].sum()))
                moves.setdefault(f"track {first}, album {second}", []).append(counts)


if __name__ == "__main__":
    main()
