"""Trees walked by hand, node by node, and models of any shape; what a description of trees may say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.models.trees import TreesModel, restored


def grown(seed: int, trees: int = 5, depth: int = 3, columns: int = 6, labels: int = 3) -> TreesModel:
    """Full trees of random splits; the leaves point to themselves."""
    generator = np.random.default_rng(seed)
    nodes = 2 ** (depth + 1) - 1
    place = np.tile(np.arange(nodes, dtype=np.int16), (trees, 1))
    inner = place < 2**depth - 1
    left, right = (np.where(inner, 2 * place + side, place).astype(np.int16) for side in (1, 2))
    return TreesModel(
        feature=np.where(inner, generator.integers(0, columns, (trees, nodes)), 0).astype(np.int16),
        split=generator.normal(size=(trees, nodes)).astype(np.float32),
        left=left,
        right=right,
        label=generator.integers(0, labels, trees).astype(np.int16),
        base=generator.normal(size=labels).astype(np.float32),
        depth=depth,
    )


def walked(model: TreesModel, row: np.ndarray) -> np.ndarray:
    """Log-probabilities of one row, one tree and one node at a time."""
    scores = model.base.astype(np.float64)
    for tree in range(len(model.label)):
        node = 0
        while model.left[tree, node] != node:
            below = row[model.feature[tree, node]] < model.split[tree, node]
            node = model.left[tree, node] if below else model.right[tree, node]
        scores[model.label[tree]] += model.split[tree, node]
    return scores - np.log(np.exp(scores).sum())


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 8))
@settings(max_examples=25)
def test_all_rows_at_once_give_what_one_node_after_the_other_gives(seed: int, depth: int, trees: int) -> None:
    model = grown(seed, trees, depth)
    rows = np.random.default_rng(seed + 1).normal(size=(9, 6)).astype(np.float32)
    found = model.log_probabilities(rows)
    assert found == pytest.approx(np.stack([walked(model, row) for row in rows]), abs=1e-6)


def test_a_number_just_at_the_split_goes_to_the_right() -> None:
    model = grown(0, trees=1, depth=1, columns=1)
    at = np.array([[model.split[0, 0]]], dtype=np.float32)
    assert model.log_probabilities(at) == pytest.approx(walked(model, at[0])[None], abs=1e-6)
    assert np.array_equal(model.log_probabilities(at), model.log_probabilities(at + 1))
    assert not np.array_equal(model.log_probabilities(at), model.log_probabilities(at - 1))


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 600])
def test_rows_come_in_any_number(count: int) -> None:
    model = grown(1)
    rows = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    found = model.log_probabilities(rows)
    assert found.shape == (count, 3)
    if count:
        assert found[-1] == pytest.approx(walked(model, rows[-1]), abs=1e-6)


def test_trees_in_another_order_score_the_same() -> None:
    model = grown(2, trees=6)
    order = np.array([3, 1, 5, 0, 4, 2])
    parts = {name: array if name == "base" else array[order] for name, array in model.arrays().items()}
    other = restored(model.description(), parts, 6, 3)
    rows = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    assert other.log_probabilities(rows) == pytest.approx(model.log_probabilities(rows))


@pytest.mark.parametrize("name", ["feature", "split", "left", "right", "label", "base"])
def test_every_array_must_be_there_and_no_other(name: str) -> None:
    model = grown(3)
    arrays = model.arrays()
    without = {key: array for key, array in arrays.items() if key != name}
    for wrong in (without, {**arrays, f"{name}2": arrays[name]}):
        with pytest.raises(ValueError, match="not those of trees"):
            restored(model.description(), wrong, 6, 3)


@pytest.mark.parametrize("name", ["feature", "left", "right", "label"])
def test_numbers_of_nodes_are_whole_and_not_negative(name: str) -> None:
    model = grown(3)
    for wrong in (-1 - model.arrays()[name], model.arrays()[name].astype(np.float32)):
        with pytest.raises(ValueError, match="not there"):
            restored(model.description(), {**model.arrays(), name: wrong}, 6, 3)


@pytest.mark.parametrize(("columns", "labels"), [(5, 3), (6, 2), (6, 4)])
def test_trees_of_other_rows_or_labels_are_refused(columns: int, labels: int) -> None:
    model = grown(4, trees=40)
    assert restored(model.description(), model.arrays(), 6, 3).description() == model.description()
    with pytest.raises(ValueError, match="tree"):
        restored(model.description(), model.arrays(), columns, labels)


@pytest.mark.parametrize("depth", [-1, 65])
def test_a_walk_of_impossible_length_is_refused(depth: int) -> None:
    model = grown(5)
    with pytest.raises(ValueError, match="at most 64 deep"):
        restored({"type": "trees", "depth": depth}, model.arrays(), 6, 3)
