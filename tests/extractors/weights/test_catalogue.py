"""The catalogue names every model once, with a licence, a source and the function that converts its tensors."""

from __future__ import annotations

import importlib
import re

import pytest

from music_reclass.errors import UsageError
from music_reclass.extractors.registry import EXTRACTORS
from music_reclass.extractors.weights.catalogue import MODELS, model


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_files_a_licence_and_a_converter(name: str) -> None:
    found = model(name)
    assert found.name == name
    assert found.size == sum(file.size for file in found.files) > 1_000_000
    assert all(file.url.startswith("https://") and file.url.endswith(file.name) for file in found.files)
    assert found.licence_text.strip()
    module, function = found.converter.split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_every_kind_of_the_catalogue_has_an_extractor_and_one_model() -> None:
    kinds = [kind for found in MODELS.values() for kind in found.kinds]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == EXTRACTORS.keys() - {"fma518"}


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'mert'"):
        model("mer")
    with pytest.raises(UsageError, match="there are efficientat"):
        model("zzz")


@pytest.mark.parametrize("name", MODELS)
def test_files_are_named_at_a_commit_where_one_is_known_and_digests_are_whole(name: str) -> None:
    hub = [file.hub for file in model(name).files if file.hub is not None]
    assert len({place.revision for place in hub}) <= 1
    if name in ("mert", "mert-330m", "ast", "hubert"):
        assert all(re.fullmatch("[0-9a-f]{40}", place.revision) for place in hub)
    for file in model(name).files:
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
