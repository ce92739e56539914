"""Bundles made by others: wrong types, numbers beyond bounds, arrays that belong nowhere, lists that lead elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.errors import BundleError
from music_reclass.models import bundle as bundles
from music_reclass.models.linear import LinearModel
from music_reclass.models.stacking import Stack
from music_reclass.models.transforms import QuantileScale
from tests.models.test_base import bundle_of

ROWS = np.random.default_rng(0).normal(size=(40, 518)).astype(np.float32)
LABELS = ("Jazz", "Rock")


def linear(seed: int = 0) -> LinearModel:
    weights = np.random.default_rng(seed).normal(size=(518, 2)).astype(np.float32)
    return LinearModel("unchanged", QuantileScale.fit(ROWS), weights, np.zeros(2, dtype=np.float32))


def written(folder: Path, changes: Mapping[str, Any], model: Any = None, **arrays: Any) -> Path:
    """A bundle on disk whose manifest has `changes`, with the digest that goes with them."""
    model = model or linear()
    manifest = {**bundle_of(model, LABELS).manifest, **changes}
    stored = {**model.arrays(), **arrays}
    text = json.dumps(manifest)
    manifest["digest"] = bundles._digest(json.loads(text), stored)
    folder.mkdir(exist_ok=True)
    (folder / bundles.MANIFEST).write_text(json.dumps(manifest))
    np.savez(folder / bundles.ARRAYS, **stored)
    return folder


def test_the_bundle_that_the_others_are_made_from_is_sound(tmp_path: Path) -> None:
    found = bundles.load(written(tmp_path / "b", {}))
    assert found.predict_proba(ROWS).shape == (40, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": "Ro"}, {"labels": {"Jazz": 1, "Rock": 2}}, {"labels": None}, {"labels": [1, 2]}, {"labels": 2},
        {"kinds": "fma518"}, {"kinds": {"name": "fma518"}}, {"kinds": [None]}, {"kinds": [["fma518"]]},
        {"kinds": [{"name": "fma518", "version": "1", "dimension": "518", "excerpt": "mid30"}]},
        {"kinds": [{"name": "fma518", "version": "1", "dimension": -518, "excerpt": "mid30"}]},
        {"kinds": [{"name": "fma518", "version": "1", "dimension": 518, "excerpt": "mid30", "more": 1}]},
        {"thresholds": None}, {"thresholds": [0.5]}, {"thresholds": {"confident": None}},
        {"thresholds": {"confident": float("nan")}}, {"thresholds": {"confident": 10**400}},
        {"calibration": None}, {"calibration": [1.0]}, {"calibration": {"temperature": "warm"}},
        {"calibration": {"temperature": float("inf")}}, {"calibration": {"doubt": 1.0}},
        {"medians": 5}, {"medians": ["x"] * 518}, {"medians": [float("nan")] * 518}, {"medians": [0.0] * 517},
        {"model": None}, {"model": []}, {"model": {}}, {"model": {"type": []}}, {"model": {"type": "linear"}},
        {"model": {"type": "linear", "input": "soup"}}, {"model": {"type": "linear", "input": None}},
        {"model": {"type": "stack", "weights": [1.0], "members": [{"type": "linear", "input": "unchanged"}]}},
        {"model": {"type": "selected", "columns": ["volume"], "model": {"type": "linear", "input": "unchanged"}}},
        {"model": {"type": "trees", "depth": 3}}, {"name": None, "kinds": None},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)  # fmt: skip
def test_a_manifest_of_other_types_is_refused_in_a_sentence(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        bundles.load(written(tmp_path / "b", changes))


@pytest.mark.parametrize("name", ["name", "version", "stage", "kinds", "labels", "thresholds", "calibration", "model"])
def test_nothing_that_a_bundle_needs_may_be_missing(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "b", {})
    manifest = json.loads((folder / bundles.MANIFEST).read_text())
    del manifest[name]
    manifest["digest"] = bundles._digest(manifest, linear().arrays())
    (folder / bundles.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError):
        bundles.load(folder)


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]], ids=str)
def test_another_format_asks_for_an_upgrade(tmp_path: Path, version: object) -> None:
    with pytest.raises(BundleError, match="not of format 1; upgrade reclass or train the bundle again"):
        bundles.load(written(tmp_path / "b", {"format": version}))


def test_a_model_type_that_reclass_no_longer_has_says_what_it_was(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no longer has; train it again"):
        bundles.load(written(tmp_path / "b", {"model": {"type": "tags"}}))


@pytest.mark.parametrize(
    ("weights", "members"),
    [([1.0], 2), ([1.0, 1.0, 1.0], 2), ([-1.0, 1.0], 2), ([float("nan"), 1.0], 2), ([1e4, 0.1], 2), ([], 0)],
)
def test_a_stack_needs_a_sensible_weight_for_each_member(tmp_path: Path, weights: list[float], members: int) -> None:
    described = {"type": "stack", "weights": weights, "members": [linear().description()] * members}
    with pytest.raises(BundleError):
        bundles.load(written(tmp_path / "b", {"model": described}, Stack((linear(), linear(1)), (1.0, 1.0))))


@pytest.mark.parametrize("name", ["2/weights", "99/bias", "-1/stowaway", "x/bias", "weights", "0/0/bias"])
def test_an_array_that_belongs_to_no_member_of_a_stack_is_refused(tmp_path: Path, name: str) -> None:
    stack = Stack((linear(), linear(1)), (0.5, 0.5))
    assert bundles.load(written(tmp_path / "good", {}, stack)).predict_proba(ROWS).shape == (40, 2)
    folder = written(tmp_path / "b", {}, stack)
    with np.load(folder / bundles.ARRAYS) as stored:
        arrays = {**{key: stored[key] for key in stored.files}, name: np.zeros(2, dtype=np.float32)}
    manifest = json.loads((folder / bundles.MANIFEST).read_text())
    manifest["digest"] = bundles._digest(manifest, arrays)
    (folder / bundles.MANIFEST).write_text(json.dumps(manifest))
    with (folder / bundles.ARRAYS).open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(BundleError):
        bundles.load(folder)


def test_depths_without_bounds_are_refused(tmp_path: Path) -> None:
    from tests.models.test_trees import tree

    arrays = {name: np.asarray(array) for name, array in tree().arrays().items()}
    for depth in (float("inf"), -1, 65, "deep", None):
        with pytest.raises(BundleError):
            bundles.load(written(tmp_path / "b", {"model": {"type": "trees", "depth": depth}}, tree(), **arrays))


def test_a_manifest_nested_without_end_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "b", {})
    (folder / bundles.MANIFEST).write_text("[" * 200_000)
    with pytest.raises(BundleError):
        bundles.load(folder)


def test_one_changed_bit_of_one_array_is_noticed(tmp_path: Path) -> None:
    folder = written(tmp_path / "b", {})
    arrays = {name: array.copy() for name, array in linear().arrays().items()}
    arrays["weights"].view(np.uint32)[17, 1] ^= 1
    with (folder / bundles.ARRAYS).open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(BundleError, match="its digest differs"):
        bundles.load(folder)


def test_the_digest_does_not_depend_on_the_byte_order_of_the_machine_that_wrote_it() -> None:
    model = linear()
    swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in model.arrays().items()}
    manifest = bundle_of(model, LABELS).manifest
    assert bundles._digest(manifest, swapped) == bundles._digest(manifest, model.arrays())
    renamed = {f"{name}_": array for name, array in model.arrays().items()}
    assert bundles._digest(manifest, renamed) != bundles._digest(manifest, model.arrays())


def test_arrays_larger_than_any_bundle_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "b", {})
    monkeypatch.setattr(bundles, "_LARGEST", (folder / bundles.ARRAYS).stat().st_size - 1)
    with pytest.raises(BundleError, match="larger than any bundle"):
        bundles.load(folder)


def test_pickled_arrays_are_refused_and_nothing_of_them_runs(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.write_text, (tmp_path / "ran", "it did"))

    folder = written(tmp_path / "b", {})
    arrays = {**linear().arrays(), "bias": np.array([Runs(), Runs()], dtype=object)}
    with (folder / bundles.ARRAYS).open("wb") as file:
        np.savez(file, allow_pickle=True, **arrays)
    with pytest.raises(BundleError, match="cannot be read"):
        bundles.load(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../b", "b/../b", "/etc", ".hidden", "b/", None, 3, ["b"], "a\0b"])
def test_a_cascade_never_leads_out_of_its_folder(tmp_path: Path, name: object) -> None:
    written(tmp_path / "b", {})
    top = written(tmp_path / "cascade", {})  # a bundle beside the list, which "" would name
    (top / bundles.CASCADE).write_text(json.dumps({"format": 1, "stages": [name]}))
    with pytest.raises(BundleError):
        bundles.load_cascade(top)


def test_a_cascade_has_no_stage_twice_and_not_too_many(tmp_path: Path) -> None:
    written(tmp_path / "b", {})
    for stages in (["b", "b"], [f"b{number}" for number in range(9)], "b", {"b": 1}):
        (tmp_path / bundles.CASCADE).write_text(json.dumps({"format": 1, "stages": stages}))
        with pytest.raises(BundleError, match="no list of stages"):
            bundles.load_cascade(tmp_path)


def test_artists_are_remembered_by_digests_that_do_not_tell_their_names() -> None:
    marks = bundles.artist_digests(["Nina Simone", "Can", "Nina Simone", "\udce9t\udce9"])
    assert len(marks) == 4
    assert marks[0] == marks[2] != marks[1]
    assert all(len(mark) == 8 and int(mark, 16) >= 0 for mark in marks)
