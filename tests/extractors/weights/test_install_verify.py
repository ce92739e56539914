"""The self-check of an installed model finds what is wrong with it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from music_reclass.extractors.weights import catalogue, store
from music_reclass.extractors.weights.checkpoint import write_safetensors
from music_reclass.extractors.weights.install import self_check
from tests.extractors import small_models
from tests.extractors.small_models import ON_CPU

MUSICNN = catalogue.model("musicnn")


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))


def wrong(model=MUSICNN):
    return [check.name for check in self_check(model, ON_CPU) if not check.fine]


def test_a_model_as_it_should_be_passes():
    small_models.install("musicnn", small_models.random_musicnn())
    assert [check.name for check in self_check(MUSICNN, ON_CPU)] == [
        "digest", "tensors", "musicnn shape", "musicnn repeats", "musicnn hears", "musicnn-tags shape",
        "musicnn-tags repeats", "musicnn-tags hears",
    ]  # fmt: skip
    assert wrong() == []


def test_weights_that_changed_on_disk_are_noticed():
    installed = small_models.install("musicnn", small_models.random_musicnn())
    write_safetensors(installed.weights, small_models.random_musicnn(seed=1))
    assert wrong() == ["digest"]


def test_a_model_that_hears_no_difference_is_noticed():
    tensors = small_models.random_musicnn()
    tensors["dense1.weight"] = np.zeros_like(tensors["dense1.weight"])
    small_models.install("musicnn", tensors)
    assert wrong() == ["musicnn hears", "musicnn-tags hears"]


def test_counts_that_differ_are_noticed():
    small_models.install("musicnn", small_models.random_musicnn())
    assert wrong(dataclasses.replace(MUSICNN, values=3)) == ["tensors"]


def test_a_model_that_is_not_installed_is_answered_with_the_cure():
    with pytest.raises(store.MissingWeights):
        list(self_check(MUSICNN, ON_CPU))
