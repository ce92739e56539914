"""Wrong tags are found by models that never saw their artists, better than by disagreement with one model alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.models.base import Estimator
from music_reclass.models.calibration import Calibration
from music_reclass.models.dataset import Table
from music_reclass.models.linear import linear_estimator
from music_reclass.models.stacking import translated_estimator, translation
from music_reclass.taxonomy import load
from music_reclass.training import label_issues as module
from music_reclass.training import npz
from music_reclass.training.label_issues import (
    find_label_issues,
    grouped_by_folder,
    label_issues,
    library_label_issues,
    related_labels,
    without_issues,
)

CLIPS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "training" / "genre_clips.npz"
TAXONOMY = load()


def swapped(labels: NDArray[np.bool_], share: float, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """`labels` with a share of the rows carrying the set of another row that has nothing in common; which rows."""
    generator = np.random.default_rng(seed)
    wrong, noisy = np.zeros(len(labels), dtype=np.bool_), labels.copy()
    for row in generator.permutation(len(labels))[: round(share * len(labels))]:
        strangers = np.flatnonzero(~(labels & labels[row]).any(axis=1))
        noisy[row], wrong[row] = labels[generator.choice(strangers)], True
    return noisy, wrong


def opinions(labels: NDArray[np.bool_], seed: int) -> NDArray[np.float64]:
    """Log-probabilities of a model that sees each label through noise, and knows how sure it may be."""
    seen = 2.5 * labels + np.random.default_rng(seed).normal(size=labels.shape)
    scores = 2.5 * seen
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def test_the_noise_rate_and_the_precision_of_the_list_are_predicted() -> None:
    truth = np.eye(5, dtype=bool)[np.random.default_rng(0).integers(0, 5, 2000)]
    noisy, wrong = swapped(truth, 0.15, 1)

    issues = label_issues(opinions(truth, 2), noisy)
    chosen = issues.suspects(0.5)

    assert issues.rate == pytest.approx(0.15, abs=0.05)
    assert issues.expected_precision(chosen) == pytest.approx(wrong[chosen].mean(), abs=0.08)
    assert (issues.suggested[wrong] == truth[wrong].argmax(axis=1)).mean() > 0.85


def test_a_library_without_errors_is_left_alone() -> None:
    truth = np.eye(5, dtype=bool)[np.random.default_rng(0).integers(0, 5, 1000)]
    sure = np.log(np.where(truth, 0.92, 0.02))

    issues = label_issues(sure, truth)

    assert issues.rate <= 0.005
    assert not len(issues.suspects())


@pytest.mark.skipif(not CLIPS.exists(), reason="the training table of ../shared is not there")
def test_swapped_tags_of_real_clips_are_found_better_than_by_the_base_models_disagreement() -> None:
    average_precision_score = pytest.importorskip("sklearn.metrics").average_precision_score
    table = npz.read(CLIPS).table
    ours, theirs, lists = [], [], []
    for seed in (1,):
        artists = np.random.default_rng(seed).permutation(np.unique(table.groups))
        mine = np.isin(table.groups, artists[: len(artists) // 2])
        labels, wrong = swapped(table.labels[mine], 0.15, seed)
        library = replace(table.chosen(mine), labels=labels)
        model = linear_estimator().fit(table.chosen(~mine), None)  # plays the embedded one: it never saw these artists
        base = translated_estimator(model, Calibration(), table.classes, TAXONOMY)
        shares = np.exp(base.fit(library, None).log_probabilities(library.rows))

        issues = find_label_issues(library, [linear_estimator(), base])

        chosen = issues.suspects()
        ours.append(average_precision_score(wrong, issues.wrong))
        theirs.append(average_precision_score(wrong, 1 - (shares * labels).sum(axis=1)))
        lists.append((wrong[chosen].mean(), wrong[chosen].sum() / wrong.sum()))
    assert np.mean(ours) > np.mean(theirs)
    precision, recall = np.mean(lists, axis=0)
    assert precision > 0.5
    assert recall > 0.2


def test_a_wide_label_is_shared_among_finer_ones_and_a_fine_one_goes_to_the_wider() -> None:
    shares, spare = translation(("Rock", "Shoegaze", "Jazz"), ("Metal", "Rock"), np.array([3.0, 1.0]), TAXONOMY)

    np.testing.assert_allclose(shares, [[0.75, 0.25], [0.0, 1.0], [0.75, 0.25]])
    assert (spare > 0).all()


def test_training_goes_without_suspects_but_never_more_than_half_of_a_genre() -> None:
    from tests.training.test_train import data

    library = data(90)
    table = library.table
    wrong_way = np.roll(np.where(table.labels, 0.0, -6.0), 1, axis=1)
    issues = label_issues(wrong_way, table.labels)

    kept = without_issues(library, replace(issues, wrong=np.full(90, 0.9)))

    assert 45 <= len(kept) < 90
    assert (2 * kept.table.labels.sum(axis=0) >= table.labels.sum(axis=0)).all()
    assert "probably wrong" in kept.table.notes[-1]


def test_tags_are_judged_by_a_model_of_them_and_by_the_embedded_one() -> None:
    pytest.importorskip("sklearn")
    from music_reclass.models.bundle import embedded
    from tests.training.test_train import data

    log: list[str] = []
    library = data(90)
    issues = library_label_issues(library, embedded(), TAXONOMY, log=log.append)

    assert [line.split(":")[0] for line in log] == ["linear", "base"]
    assert issues.wrong.shape == (90,)


def test_suspects_stand_by_album_in_the_order_of_the_evidence() -> None:
    assert grouped_by_folder(["/a/1", "/b/1", "/a/2"], [2, 1, 0]) == [[2, 0], [1]]


def test_kin_is_what_lies_above_or_below_a_tag_on_every_way_up() -> None:
    genre = next(name for name, above in TAXONOMY.parents.items() if len(above) > 1)
    home, other = TAXONOMY.parents[genre][:2]
    table = table_of((home, other, "Jazz" if "Jazz" not in (home, other) else "Blues"))
    related = related_labels(table, TAXONOMY, [(genre,), ("no such genre",), ()])
    assert related.tolist() == [[True, True, False], [True, False, False], [True, False, False]]


def test_a_wide_tag_is_kin_to_the_finer_classes() -> None:
    table = table_of(("Rock", "Shoegaze", "Jazz"))
    assert related_labels(table, TAXONOMY).tolist() == [[True, True, False]] * 3


def table_of(classes: tuple[str, ...]) -> Table:
    """Three rows that carry the first class."""
    labels = np.array([[True, False, False]] * 3)
    return Table(("x",), np.zeros((3, 1), dtype=np.float32), classes, labels, np.arange(3), np.full(3, ""))


def test_a_large_library_is_judged_whole_by_models_that_learned_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LEARNED", 60)
    monkeypatch.setattr(module, "_LEAST_OF_GENRE", 5)
    generator = np.random.default_rng(0)
    labels = np.zeros((400, 3), dtype=np.bool_)
    labels[np.arange(400), np.where(np.arange(400) < 8, 2, np.arange(400) % 2)] = True
    rows = (labels @ np.diag([3.0, 6.0, 9.0]) + generator.normal(size=(400, 3))).astype(np.float32)
    table = Table(("a", "b", "c"), rows, ("Rock", "Jazz", "Folk"), labels, np.arange(400) // 2, np.full(400, ""))
    met: list[Table] = []

    def fit(part: Table, augmentations: object) -> object:
        met.append(part)
        return linear_estimator().fit(part, None)

    issues = find_label_issues(table, [module._sampling(Estimator("linear", fit), 0)])  # type: ignore[arg-type]

    assert [len(part) for part in met] == [60] * 5
    assert all((part.labels.sum(axis=0) >= [5, 5, 5]).all() for part in met)
    assert all(abs(int(part.labels[:, 0].sum()) - int(part.labels[:, 1].sum())) < 8 for part in met)  # as frequent
    assert issues.wrong.shape == (400,)
    assert issues.wrong.mean() < 0.1


def test_a_small_library_is_learned_whole() -> None:
    labels = np.eye(3, dtype=np.bool_)[np.arange(9) % 3]
    table = Table(("a",), np.zeros((9, 1), np.float32), ("A", "B", "C"), labels, np.arange(9), np.full(9, ""))
    met: list[Table] = []
    module._sampling(Estimator("any", lambda part, _: met.append(part)), 0).fit(table, None)  # type: ignore[arg-type, func-returns-value]
    assert met[0] is table


def test_what_a_person_decided_is_no_issue_and_is_learned_from() -> None:
    pytest.importorskip("sklearn")
    from music_reclass.models.bundle import embedded
    from tests.training.test_train import data

    library = data(90)
    library = replace(library, gold=frozenset(library.names[:30]))
    wrong = replace(label_issues(np.where(library.table.labels, -6.0, 0.0), library.table.labels), wrong=np.ones(90))
    assert set(library.names[:30]) <= set(without_issues(library, wrong).names)
    assert not library_label_issues(library, embedded(), TAXONOMY).wrong[:30].any()
