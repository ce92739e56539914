"""Label issues: which tags are probably wrong, by models that never saw the artist, and training without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Estimator, Model
from music_reclass.models.bundle import Bundle
from music_reclass.models.crossval import Log, folds_of, out_of_fold, stratified_order
from music_reclass.models.dataset import Augmentations, Dataset, Table
from music_reclass.models.linear import linear_estimator
from music_reclass.models.mlp import WIDE_RECIPE, mlp_estimator
from music_reclass.models.stacking import combined, learned_weights, translated_estimator
from music_reclass.taxonomy import Taxonomy
from music_reclass.training.train import silent

Doubles = NDArray[np.float64]
Labels = NDArray[np.bool_]

_TEMPERATURES = np.exp(np.linspace(np.log(0.4), np.log(4.0), 25))
_RATES = np.concatenate([[0.001, 0.0025, 0.005], np.arange(0.01, 0.51, 0.01)])
_DRAWS, _TRIES = 20, 30  # of swapped tags to check the ranking; of rows for one that has nothing to do with another
_LINEAR_UP_TO = 4000  # rows; above, the wide network learns as quickly and better
MOST_LEARNED = 8000  # rows from which one model learns, a sample beyond: time stays in bounds (benchmarks/audit.py)
_LEAST_OF_GENRE = 50  # of them at least of each genre, where it has as many


@dataclass(frozen=True, slots=True)
class LabelIssues:
    """How much is wrong with the labels of a table. `wrong` is each row's probability of a wrong label, (n,)."""

    wrong: Doubles
    suggested: NDArray[np.int64]  # (n,): the likeliest label that the row does not carry
    chance: Doubles  # (n,): its probability
    rate: float  # share of wrong labels in the whole table
    log_probabilities: Doubles  # (n, labels), out of fold
    labels: Labels  # (n, labels): what each row carries
    related: Labels  # (n, labels): that, and what lies above and below it
    fitted: tuple[float, float] = (1.0, 0.01)  # temperature of the probabilities, and rate of swapped labels

    def suspects(self, least: float = 0.5) -> NDArray[np.int64]:
        """Rows that are wrong with probability `least` or more, the surest first."""
        order = np.argsort(-self.wrong, kind="stable")
        return order[self.wrong[order] >= least]

    def expected_precision(self, rows: NDArray[np.int64]) -> float:
        """The expected share of wrong labels among `rows`; NaN for none."""
        return float(self.wrong[rows].mean()) if len(rows) else float("nan")


@dataclass(frozen=True, slots=True)
class PrecisionCheck:
    """How many of the first `count` of the ranking are wrong, measured with `share` of the tags swapped on purpose.

    `low` and `high` are the bounds (95 %) of the precision of one such list.
    """

    share: float
    count: int
    precision: float
    low: float
    high: float


def library_label_issues(
    data: Dataset,
    bundle: Bundle,
    taxonomy: Taxonomy,
    *,
    genres: Sequence[Sequence[str]] | None = None,
    seed: int = 0,
    log: Log = silent,
) -> LabelIssues:
    """How likely each tag of a library is wrong: judged by a model of its tags for each kind of vectors, and by
    `bundle` where it reads those of the first. `genres` are the tags as they are written, where genres of the data
    stand for finer ones. What a person decided is right."""
    small = len(data) <= _LINEAR_UP_TO
    learned = data.kinds if small else data.kinds[-1:]  # above, the kind that tells most alone
    members = [(kind, linear_estimator(seed=seed) if small else mlp_estimator(seed, WIDE_RECIPE)) for kind in learned]
    if bundle.kinds == (data.kind,):
        members.append((data.kind, as_estimator(bundle, taxonomy)))
    tables = [data.of((kind.name,)).table for kind, _estimator in members]
    related = related_labels(data.table, taxonomy, genres)
    estimators = [_sampling(estimator, seed) for _kind, estimator in members]
    if len(data) * 4 // 5 > MOST_LEARNED and any(kind in learned for kind, _estimator in members):
        log(f"each model learns from {MOST_LEARNED:,} of {len(data):,} tagged tracks, some of every genre")
    issues = find_label_issues(data.table, estimators, tables=tables, related=related, seed=seed, log=log)
    return replace(issues, wrong=np.where(data.decided, 0.0, issues.wrong))


def _sampling(estimator: Estimator, seed: int) -> Estimator:
    """The estimator, fitted on at most MOST_LEARNED rows of a table."""

    def fit(table: Table, augmentations: Augmentations | None) -> Model:
        if len(table) <= MOST_LEARNED:
            return estimator.fit(table, augmentations)
        return estimator.fit(table.chosen(_sample(table, seed)), None)

    return Estimator(estimator.name, fit)


def _sample(table: Table, seed: int) -> NDArray[np.int64]:
    """MOST_LEARNED rows in the order of the table: genres as frequent as they are, but _LEAST_OF_GENRE of each, and in
    each all artists by turns."""
    keys, groups = [str(row) for row in range(len(table))], [str(group) for group in table.groups.tolist()]
    order = stratified_order(table.labels, groups, keys, seed=seed, balance=1.0)
    first = (np.cumsum(table.labels[order], axis=0) <= _LEAST_OF_GENRE) & table.labels[order]
    chosen = order[np.argsort(~first.any(axis=1), kind="stable")][:MOST_LEARNED]
    return np.sort(chosen)


def related_labels(table: Table, taxonomy: Taxonomy, genres: Sequence[Sequence[str]] | None = None) -> Labels:
    """What each row carries and what lies above or below it in the tree, (n, labels): no mistake, but another level."""
    names = list(table.classes)
    kin: dict[str, NDArray[np.bool_]] = {}

    def kin_of(genre: str) -> NDArray[np.bool_]:
        if genre not in kin:
            above = taxonomy.ancestors(genre)
            marks = [name == genre or name in above or genre in taxonomy.ancestors(name) for name in names]
            kin[genre] = np.array(marks, dtype=np.bool_)
        return kin[genre]

    related: Labels = table.labels.copy()
    for row, carried in enumerate(table.labels):
        tags = [taxonomy.canonical(one) for tag in (genres[row] if genres else ()) for one in taxonomy.split(tag)]
        for genre in (*(names[place] for place in np.flatnonzero(carried)), *tags):
            if genre is not None:
                related[row] |= kin_of(genre)
    return related


def as_estimator(bundle: Bundle, taxonomy: Taxonomy) -> Estimator:
    """The bundle as an estimator beside others."""
    return translated_estimator(bundle.model, bundle.calibration, bundle.labels, taxonomy)


def find_label_issues(
    table: Table,
    estimators: Sequence[Estimator],
    *,
    tables: Sequence[Table] = (),
    related: Labels | None = None,
    seed: int = 0,
    log: Log = silent,
) -> LabelIssues:
    """Every row judged by estimators that were fitted on other artists only, weighted by how well they predict tags.

    `tables` are the same rows as each of the estimators reads them, where that is not `table`.
    """
    folds = folds_of(table, seed)
    scores = []
    for estimator, rows in zip(estimators, tables or [table] * len(estimators), strict=True):
        scores.append(out_of_fold(rows, None, estimator.fit, folds)[:, 0])
        share = float(table.labels[np.arange(len(table)), scores[-1].argmax(axis=1)].mean())
        log(f"{estimator.name}: agrees with {share:.0%} of the tags of artists it never saw")
    if len(scores) == 1:
        return label_issues(scores[0], table.labels, related)
    blend = np.zeros_like(scores[0])
    for fold in np.unique(folds):
        outside = folds == fold
        inside = np.random.default_rng(seed).permutation(np.flatnonzero(~outside))[:MOST_LEARNED]  # two numbers' worth
        inside.sort()
        weights = learned_weights([one[inside] for one in scores], table.labels[inside])
        blend[outside] = combined([one[outside] for one in scores], weights)
    return label_issues(blend, table.labels, related)


def label_issues(log_probabilities: Doubles, labels: Labels, related: Labels | None = None) -> LabelIssues:
    """How likely each of `labels` is wrong, given out-of-fold log-probabilities of the same shape.

    With a noise rate r and swapped labels as frequent as labels are, a row carries its set with likelihood
    (1 - r) t + r f, t being the probability that the model gives the set and f its frequency. Temperature and rate
    are those under which the labels are likeliest; the second part's share is the probability of a wrong label.
    `related` labels count for the set, and are never suggested.
    """
    related = labels if related is None else related
    swapped = _frequency(labels, related)
    best, lowest = (1.0, 0.01), np.inf
    for temperature in _TEMPERATURES:
        given = _set_probability(log_probabilities / temperature, related)
        for rate in _RATES:
            loss = -float(np.log((1 - rate) * given + rate * swapped).mean())
            if loss < lowest:
                best, lowest = (float(temperature), float(rate)), loss
    temperature, rate = best
    shares = _softmax(log_probabilities / temperature)
    wrong = _wrong(np.clip((shares * related).sum(axis=1), 1e-12, 1.0), swapped, rate)
    suggested = np.where(related, -1.0, shares).argmax(axis=1)
    return LabelIssues(
        wrong=wrong,
        suggested=suggested,
        chance=np.where(related.all(axis=1), 0.0, shares[np.arange(len(labels)), suggested]),
        rate=float(wrong.mean()),
        log_probabilities=log_probabilities,
        labels=labels,
        related=related,
        fitted=best,
    )


def _frequency(labels: Labels, related: Labels) -> Doubles:
    """How often a label drawn at random is one of the `related` of each row."""
    frequency = labels.mean(axis=0) + 1e-6
    return np.asarray(np.clip(related @ (frequency / frequency.sum()), 1e-6, 1.0), dtype=np.float64)


def _wrong(given: Doubles, swapped: Doubles, rate: float) -> Doubles:
    # A swap may hit what is right.
    return np.asarray(rate * swapped * (1 - given) / ((1 - rate) * given + rate * swapped), dtype=np.float64)


def check_precision(issues: LabelIssues, count: int, *, seed: int = 0) -> PrecisionCheck | None:
    """The precision of the first `count` of the same ranking, measured on tags that are swapped on purpose.

    In each draw a tag is left out as often as it seems wrong, so that what stays is right as far as one can say, and as
    many others get the set of a row that has nothing to do with them. The models that judge a row have not seen its
    artist, so that none is fitted again. None where nothing can be swapped.
    """
    generator = np.random.default_rng(seed)
    temperature, rate = issues.fitted
    shares = _softmax(issues.log_probabilities / temperature)
    wanted = max(1, round(issues.rate * len(issues.labels)))
    found = []
    for _ in range(_DRAWS):
        kept = np.flatnonzero(generator.random(len(issues.labels)) >= issues.wrong)
        labels, related = issues.labels[kept], issues.related[kept]
        rows, donors = _strangers(labels, related, wanted, generator)
        if not len(rows):
            return None
        labels[rows], related[rows] = labels[donors], related[donors]
        given = np.clip((shares[kept] * related).sum(axis=1), 1e-12, 1.0)
        first = np.argsort(-_wrong(given, _frequency(labels, related), rate), kind="stable")[:count]
        found.append(float(np.isin(first, rows).mean()))
    precision = float(np.mean(found))
    return PrecisionCheck(wanted / len(issues.labels), count, precision, *_bounds(precision, count))


def _strangers(
    labels: Labels, related: Labels, wanted: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Up to `wanted` rows drawn at random, and for each a row that carries nothing related to it."""
    rows: list[int] = []
    donors: list[int] = []
    for row in generator.permutation(len(labels))[: 2 * wanted].tolist():
        others = generator.integers(0, len(labels), _TRIES)
        fitting = others[~(related[row] & labels[others]).any(axis=1)]
        if len(fitting) and len(rows) < wanted:
            rows.append(row)
            donors.append(int(fitting[0]))
    return np.array(rows, dtype=np.int64), np.array(donors, dtype=np.int64)


def _bounds(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count`."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    width = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, float(middle - width)), min(1.0, float(middle + width))


def _softmax(scores: Doubles) -> Doubles:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float64)


def _set_probability(scores: Doubles, labels: Labels) -> Doubles:
    return np.asarray(np.clip((_softmax(scores) * labels).sum(axis=1), 1e-12, 1.0), dtype=np.float64)


def without_issues(data: Dataset, issues: LabelIssues) -> Dataset:
    """The data without rows whose label is probably wrong; no genre loses more than half of its rows, nor any of those
    that a person decided. The last note of the table says how many were left out."""
    decided = data.decided
    suspect = np.zeros(len(data), dtype=np.bool_)
    for row in issues.suspects():
        if decided[row]:
            continue
        carried = data.table.labels[row]
        left = (data.table.labels & ~suspect[:, None]).sum(axis=0)[carried]
        if (2 * (left - 1) >= data.table.labels.sum(axis=0)[carried]).all():
            suspect[row] = True
    kept = data.chosen(~suspect)
    note = (
        f"{int(suspect.sum())} of {len(data)} tags are probably wrong and left out of the training (reclass audit "
        f"lists them); about {issues.rate:.0%} of all tags seem wrong"
    )
    return replace(kept, table=replace(kept.table, notes=(*kept.table.notes, note)))


def grouped_by_folder(paths: Sequence[str], rows: Sequence[int]) -> list[list[int]]:
    """`rows` by the folder of their path, in the order in which folders first appear."""
    folders: dict[str, list[int]] = {}
    for row in rows:
        folders.setdefault(paths[row].rpartition("/")[0], []).append(row)
    return list(folders.values())
