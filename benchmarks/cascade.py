"""What the ladder fma518 -> +musicnn is worth: against its stages, against votes, on strange music, on a budget.

    python benchmarks/cascade.py measure --kept FOLDER [--seeds 0,1,2]     trains; hours on a small machine
    python benchmarks/cascade.py tables --kept FOLDER                      prints the tables; seconds
    python benchmarks/cascade.py policies --kept FOLDER [--efficientat F]  exit policies side by side; three minutes

`measure` keeps what every stage said of every row in FOLDER, so that an interrupted run goes on where it stopped.
Five artist-grouped outer folds: everything about a ladder (weights, calibration, promises, exits) is learned inside the
other four by the code of `reclass train all`. `policies` trains every stage once in five folds (FOLDER/oof_*.npz) and
chooses the exits for each fold by the votes on the other four. In `measure` each collection is also judged by a ladder
that learned from the other.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.models.base import Estimator
from music_reclass.models.calibration import hits
from music_reclass.models.crossval import folds_of
from music_reclass.models.dataset import Dataset, read_augmentations
from music_reclass.models.early_exit import (
    DELTA,
    EPSILON,
    LEAST,
    CalibrationSet,
    ExitRule,
    RiskTarget,
    certified_exit_rule,
    certify_exit_rule,
    exit_as_manifest,
    exit_rules_of,
    one_a_group,
)
from music_reclass.models.exit_policy import EFFORTS, SECONDS, ExitPolicy
from music_reclass.models.linear import linear_estimator
from music_reclass.models.mlp import EMBEDDING_RECIPE, mlp_estimator
from music_reclass.models.trees import trees_estimator
from music_reclass.training import npz
from music_reclass.training.cascade import train_cascade
from music_reclass.training.train import StageRecipe, answerable, cross_validate, train

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
KINDS = ("fma518", "musicnn")
HEARING = "embedding"
PLAIN_LIKELY = 0.54  # of the embedded second stage
Doubles = NDArray[np.float64]


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Judged:
    """What stages said of rows they never saw; probabilities are (n, labels). `leave` is each row's exit threshold."""

    labels: NDArray[np.bool_]
    groups: NDArray[np.int64]
    datasets: NDArray[np.str_]
    cheap: Doubles
    both: Doubles
    hearing: Doubles
    exit_rule: Doubles  # (n,), infinite where nothing was certified
    home: Doubles  # (n,), what it would be without the trials on collections never seen
    gain: Doubles  # (n,), expected by the exit's curve

    @property
    def confidence(self) -> Doubles:
        """Of the first stage."""
        return self.cheap.max(axis=1)

    @property
    def gone(self) -> NDArray[np.bool_]:
        """The rows that left at the first stage."""
        return self.confidence >= self.exit_rule

    @property
    def cascade(self) -> Doubles:
        """The probabilities by which the ladder decides."""
        return np.where(self.gone[:, None], self.cheap, self.both)

    @property
    def bolder(self) -> Judged:
        """The same with the exits that new artists of known collections alone would allow."""
        return replace(self, exit_rule=self.home)


def estimators(seed: int) -> tuple[Estimator, ...]:
    """What a stage of `reclass train all` is made of."""
    return mlp_estimator(seed), trees_estimator(seed=seed), linear_estimator(seed=seed)


def taught(data: Dataset, rows: Dataset, seed: int) -> dict[str, NDArray[np.float64]]:
    """What a ladder and the embedding alone, trained on `data`, say of `rows`."""
    recipes = [StageRecipe(name, KINDS[: place + 1], estimators(seed)) for place, name in enumerate(KINDS)]
    found = train_cascade(data, recipes, seed=seed, log=say)
    first, second = (one.bundle for one in found.stages)
    alone = mlp_estimator(seed, replace(EMBEDDING_RECIPE, members=(HEARING,) * 8))
    hearing = train(data, StageRecipe(HEARING, KINDS, (alone,)), seed=seed).bundle
    exit_rule = exit_rules_of(first.manifest)[0]
    cheap = first.predict_proba(rows.of(KINDS[:1]).table.rows)
    say(exit_rule.sentence())
    for name, own in exit_rule.held_on.items():
        say(f"  {name}: {dict(own)}")
    return {
        "cheap": cheap,
        "both": second.predict_proba(rows.table.rows),
        "hearing": hearing.predict_proba(rows.table.rows),
        "leave": np.full(len(rows), np.inf if exit_rule.threshold is None else exit_rule.threshold),
        "home": np.full(len(rows), at_home(exit_rule)),
        "gain": np.array([exit_rule.expected_gain(float(c)) for c in cheap.max(axis=1)]),
    }


def at_home(exit_rule: ExitRule) -> float:
    """The threshold that clean rows and views of new artists allow, whatever strange collections say."""
    allowed = [one["threshold"] for name, one in exit_rule.held_on.items() if not name.startswith("collection")]
    return float("inf") if None in allowed else float(max(allowed))


def measure(data: Dataset, kept: Path, seeds: Sequence[int]) -> None:
    """Every outer fold of every seed, and every collection left out (first seed), each kept in its own file."""
    kept.mkdir(parents=True, exist_ok=True)
    strange = [(f"collection_{name}_{seeds[0]}", data.table.datasets == name, seeds[0]) for name in names_of(data)]
    parts = []
    for seed in seeds:
        folds = folds_of(data.table, seed)
        parts += [(f"fold_{fold}_{seed}", folds == fold, seed) for fold in range(5)]
    parts = [*parts[:5], *strange, *parts[5:]]
    for name, own, seed in parts:
        path = kept / f"{name}.npz"
        if not path.exists():
            say(f"{name}: {int(own.sum())} rows judged by a ladder of the others")
            found = taught(data.chosen(~own), data.chosen(own), seed)
            np.savez(path.with_suffix(".part.npz"), own=own, **found)
            path.with_suffix(".part.npz").replace(path)


def names_of(data: Dataset) -> list[str]:
    """The collections of a table."""
    return sorted(set(data.table.datasets.tolist()))


def judged(data: Dataset, files: Sequence[Path], labels: NDArray[np.bool_] | None = None) -> Judged:
    """The rows of some files, in the order of the table."""
    parts = [dict(np.load(path)) for path in files]
    rows = np.concatenate([np.flatnonzero(part["own"]) for part in parts])
    order = np.argsort(rows)
    rows = rows[order]
    own = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0] if name != "own"}
    table = data.table
    right = table.labels if labels is None else labels
    return Judged(right[rows], table.groups[rows], table.datasets[rows], **own)


def macro_f1(probabilities: Doubles, labels: NDArray[np.bool_]) -> float:
    """Over genres that some row carries; a row counts under the predicted genre if that is right, else under the
    likeliest of its own (as `reclass eval` counts)."""
    best = probabilities.argmax(axis=1)
    right = labels[np.arange(len(best)), best]
    counted = np.where(right, best, np.where(labels, probabilities, -1.0).argmax(axis=1))
    scores = []
    for genre in np.unique(counted):
        true = int(((best == genre) & right).sum())
        scores.append(2 * true / max(1, int((best == genre).sum()) + int((counted == genre).sum())))
    return float(np.mean(scores))


def rivals(own: Judged) -> Iterator[tuple[str, Doubles, float]]:
    """Name, what is decided by, and the share of rows that MusiCNN is asked about."""
    yield "fma518 alone", own.cheap, 0.0
    yield "musicnn embedding alone", own.hearing, 1.0
    yield "fma518 + musicnn, always (concatenation)", own.both, 1.0
    yield "equal soft vote of the two alone", (own.cheap + own.hearing) / 2, 1.0
    yield "soft vote 0.4 / 0.6", 0.4 * own.cheap + 0.6 * own.hearing, 1.0
    yield "hard vote, confidence x 0.4 / 0.6", hard_vote(own.cheap, own.hearing), 1.0
    yield "**the ladder**", own.cascade, float((~own.gone).mean())
    yield "exits not tried on strange collections", own.bolder.cascade, float((~own.bolder.gone).mean())


def hard_vote(first: Doubles, second: Doubles) -> Doubles:
    """Each names one genre with its confidence times a fixed weight; the larger sum wins."""
    votes = np.zeros_like(first)
    rows = np.arange(len(first))
    votes[rows, first.argmax(axis=1)] += 0.4 * first.max(axis=1)
    votes[rows, second.argmax(axis=1)] += 0.6 * second.max(axis=1)
    return votes


def interval(values: Doubles, groups: NDArray[np.int64], draws: int = 4000) -> tuple[float, float]:
    """95 % of resamplings of whole artists of the mean of `values`, (n,)."""
    place = np.unique(groups, return_inverse=True)[1].reshape(-1)
    sums, sizes = np.bincount(place, values), np.bincount(place)
    drawn = np.random.default_rng(0).integers(0, len(sums), (draws, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def seconds() -> dict[str, float]:
    """What an extractor takes for one clip of 30 s, decoding and all, the best of three, where it is installed."""
    from functools import partial

    from music_reclass.classification.reading import read_vector
    from music_reclass.extractors.weights.store import MissingWeights

    clip = sorted((SHARED / "fma" / "clips").glob("*.mp3"))[0]
    found = {}
    for kind in KINDS:
        try:
            read = partial(read_vector, kind=kind, excerpt="mid30")
            read(clip)  # loads the weights and the tables
        except MissingWeights:
            say(f"{kind} is not installed, so its time is not measured (reclass models install {kind} FILE)")
            continue
        times = []
        for _ in range(3):
            started = time.process_time()
            read(clip)
            times.append(time.process_time() - started)
        found[kind] = min(times)
    return found


def print_rivals(each: Sequence[Judged], cost: dict[str, float]) -> None:
    """The main table: means over seeds."""
    first, later = cost.get("fma518", float("nan")), cost.get("musicnn", float("nan"))
    print("| decided by | right | macro-F1 | asked about by musicnn | seconds a track | less right than always both |")
    print("|---|---|---|---|---|---|")
    groups = each[0].groups
    for rows in zip(*(list(rivals(own)) for own in each), strict=True):
        right = np.mean([hits(row[1], own.labels).mean() for row, own in zip(rows, each, strict=True)])
        f1 = np.mean([macro_f1(row[1], own.labels) for row, own in zip(rows, each, strict=True)])
        share = float(np.mean([row[2] for row in rows]))
        time_a_track = (0.0 if rows[0][0].startswith("musicnn") else first) + (share * later if share else 0.0)
        less = [hits(o.both, o.labels).astype(float) - hits(r[1], o.labels) for r, o in zip(rows, each, strict=True)]
        low, high = interval(np.mean(less, axis=0), groups)
        behind = f"{np.mean(less):.4f} ({low:.4f} to {high:.4f})" if np.any(less) else "-"
        print(f"| {rows[0][0]} | {right:.3f} | {f1:.3f} | {share:.0%} | {time_a_track:.2f} | {behind} |")
    print(
        "\n| seed | ladder | always both | difference | 95 % of resampled artists | lost (at most 2 %) | left early |"
    )
    print("|---|---|---|---|---|---|---|")
    for seed, own in enumerate(each):
        cascade, both = hits(own.cascade, own.labels), hits(own.both, own.labels)
        low, high = interval(cascade.astype(float) - both, own.groups)
        lost = (own.gone & ~hits(own.cheap, own.labels) & both).mean()
        print(
            f"| {seed} | {cascade.mean():.4f} | {both.mean():.4f} | {cascade.mean() - both.mean():+.4f} | {low:+.4f} "
            f"to {high:+.4f} | {lost:.1%} | {own.gone.mean():.0%} |"
        )


def print_collections(data: Dataset, kept: Path, seed: int, at_home: Judged) -> None:
    """Each collection judged by a ladder of the other: rows with genres that the other teaches, twins as one."""
    print("| collection | rows | artists | fma518 | always both | ladder | left early | lost |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names_of(data):
        own_rows = data.table.datasets == name
        asked, right = answerable(data.table.labels, own_rows)
        labels = np.zeros_like(data.table.labels)
        labels[asked] = right
        own = judged(data, [kept / f"collection_{name}_{seed}.npz"], labels)
        _line(f"{name}, by the other", own, asked[own_rows])
    for name in names_of(data):
        _line(f"{name}, new artists", at_home, at_home.datasets == name)


def _line(name: str, own: Judged, which: NDArray[np.bool_]) -> None:
    cheap, both = hits(own.cheap, own.labels)[which], hits(own.both, own.labels)[which]
    cascade, gone = hits(own.cascade, own.labels)[which], own.gone[which]
    lost = gone & ~cheap & both
    artists = len(np.unique(own.groups[which]))
    print(
        f"| {name} | {len(gone)} | {artists} | {cheap.mean():.3f} | {both.mean():.3f} | {cascade.mean():.3f} | "
        f"{gone.mean():.0%} | {lost.mean():.1%} ({int(lost.sum())}) |"
    )


def print_simulation(own: Judged, draws: int = 500) -> None:
    """Calibration sets drawn with replacement from the rows as a population, one row an artist."""
    rows = one_a_group(own.groups)
    confidence = own.confidence[rows]
    lost = (~hits(own.cheap, own.labels) & hits(own.both, own.labels))[rows]
    generator = np.random.default_rng(0)
    print("| epsilon | tracks in the set | certified in | median exits | promise broken | and in the next set |")
    print("|---|---|---|---|---|---|")
    for epsilon in (0.01, 0.02, 0.05):
        for count in (300, len(rows), 2000):
            broken = next_broken = made = 0
            shares = []
            for _ in range(draws):
                drawn = generator.integers(0, len(rows), count)
                found = certify_exit_rule(confidence[drawn], lost[drawn], RiskTarget(epsilon, DELTA))
                if found.threshold is not None:
                    made += 1
                    gone = confidence >= found.threshold
                    shares.append(gone.mean())
                    broken += bool((gone & lost).mean() > epsilon)
                    next_broken += bool((gone & lost)[generator.integers(0, len(rows), count)].mean() > epsilon)
            median = f"{np.median(shares):.0%}" if shares else "-"
            cells = (f"{epsilon:.0%}", f"{count}", f"{made} of {draws}", median, f"{broken / draws:.1%}")
            print(f"| {' | '.join(cells)} | {next_broken / draws:.1%} |")


def print_budget(each: Sequence[Judged]) -> None:
    """How right the library is when only a share of the tracks can be asked about, by who comes first."""
    print("| asked about | by expected gain | least confident first | at random |\n|---|---|---|---|")
    for share in (0.0, 0.1, 0.2, 0.4, 0.7, 1.0):
        columns = np.zeros((len(each), 3))
        for number, own in enumerate(each):
            cheap, both = hits(own.cheap, own.labels), hits(own.both, own.labels)
            count = round(share * len(cheap))
            shuffled = np.random.default_rng(0).permutation(len(cheap))
            for column, worth in enumerate((own.gain[shuffled], -own.confidence[shuffled])):
                order = shuffled[np.argsort(-worth, kind="stable")]
                now = cheap.copy()
                now[order[:count]] = both[order[:count]]
                columns[number, column] = now.mean()
            columns[number, 2] = (1 - share) * cheap.mean() + share * both.mean()
        print(f"| {share:.0%} | {' | '.join(f'{value:.3f}' for value in columns.mean(axis=0))} |")


def out_of_fold(data: Dataset, kinds: tuple[str, ...], kept: Path) -> dict[str, NDArray[Any]]:
    """What a stage of these kinds says of rows it never saw, calibrated; kept in its own file."""
    path = kept / f"oof_{'_'.join(kinds)}.npz"
    if not path.exists():
        say(f"five folds of {' + '.join(kinds)}")
        one = cross_validate(data, StageRecipe("x", kinds, (mlp_estimator(0),)), seed=0)
        np.savez(
            path, probabilities=one.probabilities, labels=one.labels, groups=one.groups, part=one.scores.part,
            classes=np.array(data.table.classes),
        )  # fmt: skip
    return dict(np.load(path))


def with_efficientat(table: Path, vectors: Path, kept: Path) -> Path:
    """The table with EfficientAT's vectors beside its own."""
    stored = dict(np.load(table, allow_pickle=True))
    stored["efficientat"] = np.load(vectors)["mn04"].astype(np.float32)
    stored["kinds"] = np.array(["efficientat/1-899a8c62/mid30"])
    np.savez(kept / "with_efficientat.npz", **stored)
    return kept / "with_efficientat.npz"


def print_policies(cheap: dict[str, NDArray[Any]], both: dict[str, NDArray[Any]], likely: float) -> None:
    """The exit policies between two stages, thresholds for each fold chosen by the votes on the others."""
    votes = [one["probabilities"][:, 0] for one in (cheap, both)]
    labels, groups, part = cheap["labels"], cheap["groups"], cheap["part"]
    confidence = votes[0].max(axis=1)
    first, last = (hits(one, labels) for one in votes)
    policies = [ExitPolicy.of("certified"), *(ExitPolicy.of("expected", effort) for effort in EFFORTS)]
    policies += [ExitPolicy.of(f"fixed:{level}") for level in ("0.6", "0.7", "0.85")]
    costs = SECONDS["cpu"]
    print("| policy | exit from | reach the last stage | right | seconds of it a track | fewer right | lost | won |")
    print("|---|---|---|---|---|---|---|---|")
    for policy in policies:
        levels = np.full(len(labels), np.inf)
        for fold in np.unique(part):
            others = part != fold
            known = CalibrationSet.of("", groups[others], [one[others] for one in votes], labels[others])
            rule = certified_exit_rule([known], (0, 1), RiskTarget(), ("last",))
            found = policy.rules(
                [_stated("first", ("efficientat",), rule, 0), _stated("last", KINDS[1:], None, likely)]
            )[0]
            levels[part == fold] = np.inf if found is None or found.threshold is None else found.threshold
        gone = confidence >= levels
        right = np.where(gone, first, last)
        finite = levels[np.isfinite(levels)]
        level = f"{finite.min():.2f} to {finite.max():.2f}" if len(finite) else "never"
        print(
            f"| {policy.label} | {level} | {1 - gone.mean():.0%} | {right.mean():.3f} | "
            f"{(1 - gone.mean()) * costs['musicnn']:.2f} | {last.mean() - right.mean():.4f} | "
            f"{(gone & ~first & last).mean():.4f} | {(gone & first & ~last).mean():.4f} |"
        )
    print(f"| always the last stage | never | 100% | {last.mean():.3f} | {costs['musicnn']:.2f} | - | - | - |")
    print(f"| never | 0 | 0% | {first.mean():.3f} | 0.00 | {last.mean() - first.mean():.4f} | - | - |")


def _stated(stage: str, kinds: Sequence[str], rule: ExitRule | None, likely: float) -> Any:
    """As much of a bundle as an exit policy looks at."""
    each = tuple(FeatureKind(name, "1", 1, "mid30") for name in kinds)
    manifest = {"exits": [] if rule is None else [exit_as_manifest(rule)]}
    return SimpleNamespace(stage=stage, kinds=each, digest=stage, manifest=manifest, thresholds={"likely": likely})


def print_ties(each: Sequence[dict[str, NDArray[Any]]]) -> None:
    """Decisions on rows that carry Pop or Rock alone, where these are the two likeliest, by how near the tie is."""
    print("| first / second | decisions | right |\n|---|---|---|")
    for low, high in ((1.0, 1.5), (1.5, 2.0), (2.0, 3.0), (3.0, np.inf)):
        decided = right = 0
        for one in each:
            votes, labels = one["probabilities"][:, 0], one["labels"]
            pair = [one["classes"].tolist().index(name) for name in ("Pop", "Rock")]
            order = np.argsort(-votes, axis=1)[:, :2]
            first, second = np.take_along_axis(votes, order, axis=1).T
            chosen = np.isin(order, pair).all(axis=1) & (labels[:, pair].sum(axis=1) == 1) & (first >= LEAST)
            chosen &= (first >= low * second) & (first < high * second)
            decided += int(chosen.sum())
            right += int(hits(votes, labels)[chosen].sum())
        print(f"| {low:g} to {high:g} | {decided} | {right / max(1, decided):.2f} |")


def policies(table: Path, views: Path, vectors: Path | None, kept: Path) -> None:
    """Exit policies side by side, for each cascade that the table has the vectors of; and near ties."""
    kept.mkdir(parents=True, exist_ok=True)
    names = KINDS if vectors is None else (*KINDS, "efficientat")
    data = npz.read(table if vectors is None else with_efficientat(table, vectors, kept), names)
    data = data.with_augmentations(read_augmentations(views, data.table))
    found = []
    for first in [("fma518",)] if vectors is None else [("fma518",), ("fma518", "efficientat")]:
        cheap, both = out_of_fold(data, first, kept), out_of_fold(data, (*first, "musicnn"), kept)
        found += [cheap, both]
        print(f"\n{' + '.join(first)} -> {' + '.join((*first, 'musicnn'))}\n")
        print_policies(cheap, both, PLAIN_LIKELY)
    print("\nNear ties\n")
    print_ties(found[:3])


def main() -> None:
    """Measure, or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "tables", "policies"])
    parser.add_argument("--table", type=Path, default=SHARED / "training" / "genre_clips.npz")
    parser.add_argument("--views", type=Path, default=SHARED / "training" / "genre_clips_views.npz")
    parser.add_argument("--efficientat", type=Path, help="vectors of the same rows (.npz with mn04)")
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    if options.what == "policies":
        policies(options.table, options.views, options.efficientat, options.kept)
        return
    data = npz.read(options.table, KINDS)
    seeds = [int(word) for word in options.seeds.split(",")]
    if options.what == "measure":
        measure(data.with_augmentations(read_augmentations(options.views, data.table)), options.kept, seeds)
        return
    each = [judged(data, [options.kept / f"fold_{fold}_{seed}.npz" for fold in range(5)]) for seed in seeds]
    cost = seconds()
    print(f"\nSeconds of one core for one clip: {', '.join(f'{k} {v:.2f}' for k, v in cost.items())}\n")
    print_rivals(each, cost)
    print("\nCollections\n")
    print_collections(data, options.kept, seeds[0], each[0])
    print(f"\nSimulated calibration sets (allowed: {DELTA:.0%}; epsilon {EPSILON:.0%} is what ships)\n")
    print_simulation(each[0])
    print("\nBudget\n")
    print_budget(each)


if __name__ == "__main__":
    main()
