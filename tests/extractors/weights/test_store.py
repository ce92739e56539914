"""What is remembered of installed models."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.errors import ReclassError
from music_reclass.extractors.weights import store
from tests.extractors import small_models


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


def test_nothing_is_installed_at_first():
    assert store.find("mert") is None
    assert store.pinned("mert") is None
    assert not store.licence_shown("mert")


def test_a_model_is_there_when_its_manifest_is():
    installed = small_models.install("mert", {"x": np.zeros(2, np.float32)})
    assert store.find("mert") == installed
    (installed.folder / store.MANIFEST).unlink()
    assert store.find("mert") is None


def test_a_missing_model_is_answered_with_two_ways_to_get_it():
    with pytest.raises(store.MissingWeights, match=r"models download jmla.*models install jmla FILE"):
        store.needed("jmla")


def test_pins_and_licences_are_kept_side_by_side():
    store.pin("mert", "abc")
    store.pin("jmla", "def")
    store.remember_licence("mert", "2026-01-01")
    assert (store.pinned("mert"), store.pinned("jmla")) == ("abc", "def")
    assert store.licence_shown("mert")
    assert not store.licence_shown("jmla")


@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_a_damaged_file_is_named(content):
    store.pin("mert", "abc")
    path = store.models_folder() / "pins.json"
    path.write_text(content)
    with pytest.raises(ReclassError, match=r"pins\.json"):
        store.pinned("mert")


def test_a_manifest_of_another_make_is_damaged():
    folder = store.models_folder() / "mert"
    small_models.install("mert", {"x": np.zeros(2, np.float32)})
    store.write_json(folder / store.MANIFEST, {"model": "mert"})
    with pytest.raises(ReclassError, match="install the model mert again"):
        store.find("mert")


def test_equal_weights_have_equal_digests_in_any_order_and_layout():
    one = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)}
    other = {"b": np.ones(2, np.float32), "a": np.asfortranarray(one["a"])}
    assert store.tensors_digest(one) == store.tensors_digest(other)
    for changed in ({"a": one["a"].reshape(3, 2)}, {"a": one["a"].astype("f8")}, {"c": one["a"]}, {"a": one["a"] + 1}):
        assert store.tensors_digest(one) != store.tensors_digest({"b": one["b"]} | changed)


def test_where_the_disk_is_full_the_former_file_stands_and_nothing_lies_beside_it(tmp_path, monkeypatch):
    file = tmp_path / "slopes.json"
    store.write_json(file, {"a": 1})

    def full(path, *_, **__):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(file), "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        store.write_json(file, {"a": 2})
    assert store.read_json(file) == {"a": 1}
    assert list(tmp_path.glob("slopes*")) == [file]
