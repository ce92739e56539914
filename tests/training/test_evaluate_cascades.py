"""A cascade judged on rows: each row in the labels of the stage that decided it; the order of the rows is no matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from music_reclass.errors import UsageError
from music_reclass.models.bundle import Bundle
from music_reclass.models.dataset import TEST, TRAINING, Dataset, Raw, fma518, to_dataset
from music_reclass.models.exit_policy import ExitPolicy
from music_reclass.models.linear import LinearModel
from music_reclass.models.transforms import QuantileScale
from music_reclass.taxonomy import load
from music_reclass.training.evaluate import evaluate_cascade, labels_as
from tests.models.test_base import bundle_of

TAXONOMY = load()
ROWS = np.random.default_rng(0).normal(size=(60, 518)).astype(np.float32)


def knowing(stage: str, *labels: str, column: int = 0) -> Bundle:
    """A bundle that says the first label where a column is high, and the second where it is low."""
    weights = np.zeros((518, len(labels)), dtype=np.float32)
    weights[column, 0], weights[column, 1] = 3.0, -3.0
    model = LinearModel("unchanged", QuantileScale.fit(ROWS), weights, np.zeros(len(labels), dtype=np.float32))
    return replace(bundle_of(model, labels), stage=stage, name=stage)


def data(*genres: str, rows: np.ndarray = ROWS) -> Dataset:
    """Rows with these genres in turn, two an artist."""
    count = len(rows)
    each = [(genres[number % len(genres)],) for number in range(count)]
    groups = [f"artist {number // 2}" for number in range(count)]
    return to_dataset(Raw("mine", rows, each, groups, list(map(str, range(count))), fma518("mid30")), TAXONOMY)


FIRST, SECOND = knowing("first", "Jazz", "Rock"), knowing("second", "Jazz", "Folk")


ALWAYS = ExitPolicy("fixed", confidence=0.01)  # every track exits at the first stage


def test_a_bundle_is_right_where_its_first_label_is_that_of_the_row() -> None:
    found = evaluate_cascade([FIRST], data("Jazz"), TAXONOMY)
    expected = (FIRST.predict_proba(ROWS).argmax(axis=1) == 0).mean()
    assert 0.2 < expected < 0.8
    assert found.accuracy.value == pytest.approx(expected)
    assert (found.count, found.artists, found.classes) == (60, 30, ("Jazz", "Rock"))


def test_without_an_exit_rule_the_last_stage_decides_and_with_one_the_first() -> None:
    mine = data("Jazz")
    last = evaluate_cascade([FIRST, SECOND], mine, TAXONOMY)
    first = evaluate_cascade([FIRST, SECOND], mine, TAXONOMY, policy=ALWAYS)
    assert "first 0%, second 100%" in last.title
    assert "first 100%, second 0%" in first.title
    assert last.classes == ("Jazz", "Rock", "Folk")


def test_the_order_of_the_rows_does_not_matter() -> None:
    mine = data("Jazz", "Rock", "Folk")
    order = np.random.default_rng(1).permutation(60)
    turned = replace(
        mine,
        table=mine.table.chosen(order),
        split=mine.split[order],
        names=tuple(mine.names[number] for number in order),
        artists=tuple(mine.artists[number] for number in order),
    )
    one, other = (evaluate_cascade([FIRST, SECOND], each, TAXONOMY) for each in (mine, turned))
    assert other.matrix == one.matrix
    assert other.accuracy.value == pytest.approx(one.accuracy.value)


def test_rows_whose_genre_the_deciding_stage_does_not_know_are_left_out_and_counted() -> None:
    mine = data("Jazz", "Folk")
    found = evaluate_cascade([FIRST, SECOND], mine, TAXONOMY, policy=ALWAYS)
    assert found.count == 30  # Folk is no label of the first stage
    assert "30 of 60 rows carry no genre that first and second knows; left out" in found.warnings
    assert evaluate_cascade([FIRST, SECOND], mine, TAXONOMY).count == 60


def test_where_no_deciding_stage_knows_a_rows_genre_a_sentence_says_so() -> None:
    with pytest.raises(UsageError, match="no row with a genre that the stage which decides it knows"):
        evaluate_cascade([FIRST, SECOND], data("Folk"), TAXONOMY, policy=ALWAYS)
    with pytest.raises(UsageError, match="no row with a genre that first knows"):
        evaluate_cascade([FIRST], data("Folk"), TAXONOMY)


def test_only_the_part_that_is_asked_for_is_judged() -> None:
    mine = replace(data("Jazz", "Rock"), split=np.array([TRAINING, TRAINING, TEST, TEST] * 15))
    found = evaluate_cascade([FIRST], mine, TAXONOMY, part=TEST)
    assert found.count == 30
    assert found.title.endswith("on mine (test)")
    chosen = evaluate_cascade([FIRST], mine.chosen(mine.split == TEST), TAXONOMY)
    assert chosen.matrix == found.matrix
    with pytest.raises(UsageError, match="no rows in the part 'validation'"):
        evaluate_cascade([FIRST], mine, TAXONOMY, part="validation")


def test_a_finer_genre_counts_as_the_nearest_wider_one_that_is_known() -> None:
    mine = data("Shoegaze", "Delta Blues")
    labels = labels_as(("Rock", "Blues", "Jazz"), mine, TAXONOMY)
    assert labels[:2].tolist() == [[True, False, False], [False, True, False]]
    assert labels_as(("Rock", "Shoegaze"), mine, TAXONOMY)[0].tolist() == [False, True]
    only_rock = labels_as(("Rock", "Shoegaze"), mine, TAXONOMY, of=("Rock",))
    assert only_rock[0].tolist() == [True, False]  # another stage's finer label is not used
    assert not labels_as(("Jazz",), mine, TAXONOMY).any()


def test_a_cascade_is_shown_under_every_exit_policy_with_what_it_costs() -> None:
    mine = data("Jazz", "Rock", rows=np.concatenate([ROWS, ROWS], axis=1)[:, :518])
    policy = ExitPolicy("fixed", confidence=0.9, measured={"first": 0.1, "second": 2.0})
    found = evaluate_cascade([FIRST, SECOND], mine, TAXONOMY, policy=policy)
    assert [one.policy for one in found.policies] == [
        "certified", "expected (quick)", "expected (balanced)", "expected (thorough)", "fixed:0.9",
    ]  # fmt: skip
    assert [one.chosen for one in found.policies] == [False] * 4 + [True]
    sure = FIRST.predict_proba(ROWS).max(axis=1) >= 0.9
    assert 0.0 < sure.mean() < 1.0
    last = found.policies[-1]
    assert dict(last.asked) == {"first": 1.0, "second": pytest.approx((~sure).mean(), abs=1e-4)}
    assert last.seconds == pytest.approx(0.1 + 2.0 * (~sure).mean(), abs=1e-3)
    assert last.accuracy == pytest.approx(found.accuracy.value)
    assert found.as_json()["policies"][-1]["asked"]["first"] == 1.0
    assert evaluate_cascade([FIRST], mine, TAXONOMY).policies == ()


def test_the_seconds_of_a_stage_that_nobody_measured_are_unknown() -> None:
    unknown = replace(SECOND, kinds=(replace(SECOND.kinds[0], version="2", name="fma518"),), stage="second")
    policy = ExitPolicy(seconds={})
    found = evaluate_cascade([FIRST, unknown], data("Jazz", "Rock"), TAXONOMY, policy=policy)
    assert all(np.isnan(one.seconds) for one in found.policies)
    assert found.as_json()["policies"][0]["seconds"] is None
