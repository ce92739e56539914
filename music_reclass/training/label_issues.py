"""Label issues: which tags are probably wrong, by models that never saw the artist, and training without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Estimator
from music_reclass.models.bundle import Bundle
from music_reclass.models.crossval import Log, folds_of, out_of_fold
from music_reclass.models.dataset import Dataset, Table
from music_reclass.models.linear import linear_estimator
from music_reclass.models.mlp import WIDE_RECIPE, mlp_estimator
from music_reclass.models.stacking import combined, learned_weights, translated_estimator
from music_reclass.taxonomy import Taxonomy
from music_reclass.training.train import silent

Doubles = NDArray[np.float64]
Labels = NDArray[np.bool_]

_TEMPERATURES = np.exp(np.linspace(np.log(0.4), np.log(4.0), 25))
_RATES = np.concatenate([[0.001, 0.0025, 0.005], np.arange(0.01, 0.51, 0.01)])
_LINEAR_UP_TO = 4000  # rows; above, the wide network learns as quickly and better


@dataclass(frozen=True, slots=True)
class LabelIssues:
    """How much is wrong with the labels of a table. `wrong` is each row's probability of a wrong label, (n,)."""

    wrong: Doubles
    suggested: NDArray[np.int64]  # (n,): the likeliest label that the row does not carry
    chance: Doubles  # (n,): its probability
    rate: float  # share of wrong labels in the whole table
    log_probabilities: Doubles  # (n, labels), out of fold

    def suspects(self, least: float = 0.5) -> NDArray[np.int64]:
        """Rows that are wrong with probability `least` or more, the surest first."""
        order = np.argsort(-self.wrong, kind="stable")
        return order[self.wrong[order] >= least]

    def expected_precision(self, rows: NDArray[np.int64]) -> float:
        """The expected share of wrong labels among `rows`; NaN for none."""
        return float(self.wrong[rows].mean()) if len(rows) else float("nan")


def library_label_issues(
    data: Dataset, bundle: Bundle, taxonomy: Taxonomy, *, seed: int = 0, log: Log = silent
) -> LabelIssues:
    """How likely each tag of a library is wrong: judged by a model of its tags, and by `bundle` where it reads the same
    vectors."""
    estimators: list[Estimator] = [
        linear_estimator(seed=seed) if len(data) <= _LINEAR_UP_TO else mlp_estimator(seed, WIDE_RECIPE)
    ]
    if bundle.kinds == (data.kind,):
        estimators.append(as_estimator(bundle, taxonomy))
    return find_label_issues(data.table, estimators, seed=seed, log=log)


def as_estimator(bundle: Bundle, taxonomy: Taxonomy) -> Estimator:
    """The bundle as an estimator beside others."""
    return translated_estimator(bundle.model, bundle.calibration, bundle.labels, taxonomy)


def find_label_issues(
    table: Table, estimators: Sequence[Estimator], *, seed: int = 0, log: Log = silent
) -> LabelIssues:
    """Every row judged by estimators that were fitted on other artists only, weighted by how well they predict tags."""
    folds = folds_of(table, seed)
    scores = []
    for estimator in estimators:
        scores.append(out_of_fold(table, None, estimator.fit, folds)[:, 0])
        share = float(table.labels[np.arange(len(table)), scores[-1].argmax(axis=1)].mean())
        log(f"{estimator.name}: agrees with {share:.0%} of the tags of artists it never saw")
    if len(scores) == 1:
        return label_issues(scores[0], table.labels)
    blend = np.zeros_like(scores[0])
    for fold in np.unique(folds):
        outside = folds == fold
        weights = learned_weights([one[~outside] for one in scores], table.labels[~outside])
        blend[outside] = combined([one[outside] for one in scores], weights)
    return label_issues(blend, table.labels)


def label_issues(log_probabilities: Doubles, labels: Labels) -> LabelIssues:
    """How likely each of `labels` is wrong, given out-of-fold log-probabilities of the same shape.

    With a noise rate r and swapped labels as frequent as labels are, a row carries its set with likelihood
    (1 - r) t + r f, t being the probability that the model gives the set and f its frequency. Temperature and rate
    are those under which the labels are likeliest; the second part's share is the probability of a wrong label.
    """
    frequency = labels.mean(axis=0) + 1e-6
    swapped = np.clip((labels * (frequency / frequency.sum())).sum(axis=1), 1e-6, 1.0)
    best, lowest = (1.0, 0.01), np.inf
    for temperature in _TEMPERATURES:
        given = _set_probability(log_probabilities / temperature, labels)
        for rate in _RATES:
            loss = -float(np.log((1 - rate) * given + rate * swapped).mean())
            if loss < lowest:
                best, lowest = (float(temperature), float(rate)), loss
    temperature, rate = best
    shares = _softmax(log_probabilities / temperature)
    given = np.clip((shares * labels).sum(axis=1), 1e-12, 1.0)
    others = np.where(labels, -1.0, shares)
    suggested = others.argmax(axis=1)
    wrong = rate * swapped * (1 - given) / ((1 - rate) * given + rate * swapped)  # a swap may hit what is right
    return LabelIssues(
        wrong=wrong,
        suggested=suggested,
        chance=shares[np.arange(len(labels)), suggested],
        rate=float(wrong.mean()),
        log_probabilities=log_probabilities,
    )


def _softmax(scores: Doubles) -> Doubles:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float64)


def _set_probability(scores: Doubles, labels: Labels) -> Doubles:
    return np.asarray(np.clip((_softmax(scores) * labels).sum(axis=1), 1e-12, 1.0), dtype=np.float64)


def without_issues(data: Dataset, issues: LabelIssues) -> Dataset:
    """The data without rows whose label is probably wrong; no genre loses more than half of its rows. The last note of
    the table says how many were left out."""
    suspect = np.zeros(len(data), dtype=np.bool_)
    for row in issues.suspects():
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
