"""Extractors are found by name, and imported only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from music_reclass.domain import FeatureKind
from music_reclass.errors import UsageError
from music_reclass.extractors.device import Placement
from music_reclass.extractors.network import NetworkExtractor
from music_reclass.extractors.pipeline import network_extractor
from music_reclass.extractors.registry import (
    EXCERPTS,
    EXTRACTORS,
    comparable,
    extractor,
    network_kinds,
    require_weights,
)
from music_reclass.extractors.weights.catalogue import MODELS
from music_reclass.extractors.weights.store import MissingWeights
from tests.extractors import small_models


def test_what_an_earlier_version_made_is_taken_for_todays_where_they_compare() -> None:
    def version(name: str, version: str) -> str:
        return comparable(FeatureKind(name, version, 3, "mid30")).version

    assert version("mert", "1-l7-norm-ab1-c") == "2-l7-norm-ab1-c"
    assert version("ast-tags", "1-ab") == "2-ab"
    assert version("mert-330m", "2-l10-raw-ab") == "2-l10-raw-ab"
    assert version("mert", "11-l7-norm-ab") == "11-l7-norm-ab"
    assert version("jmla", "1-ab") == "1-ab"


@pytest.mark.parametrize("excerpt", EXCERPTS)
def test_a_known_name_gives_the_extractor_of_that_kind(excerpt: str) -> None:
    found = extractor("fma518", excerpt)
    assert (found.kind.name, found.kind.excerpt) == ("fma518", excerpt)


def test_an_unknown_name_is_one_sentence_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean 'fma518'"):
        extractor("fma581", "mid30")
    with pytest.raises(UsageError, match="choose one of"):
        extractor("x", "mid30")


def test_an_unknown_excerpt_is_one_sentence_with_the_choices() -> None:
    with pytest.raises(UsageError, match="mid30"):
        extractor("fma518", "first30")


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    modules = {entry.split(":")[0] for entry in EXTRACTORS.values()}
    code = (
        "import sys; import music_reclass.extractors.registry; "
        f"print(sorted({modules | {'numpy'}!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_weights_that_are_absent_are_said_before_an_extractor_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    for name in EXTRACTORS.keys() - {"fma518"}:
        with pytest.raises(MissingWeights):
            require_weights(name)
    require_weights("fma518")


def test_the_placement_is_the_callers_and_never_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    monkeypatch.setenv("RECLASS_PRECISION", "fp16")
    small_models.install("jmla", {"any": np.zeros(1, np.float32)})
    placed = network_extractor("jmla", "mid30", Placement("cpu", "", "fp32"))
    assert (placed.network.device.name, placed.network.precision) == ("cpu", "fp32")
    assert cast("NetworkExtractor", extractor("jmla", "mid30")).network.precision != "fp16"


def test_kinds_of_a_network_are_those_that_the_catalogue_gives_to_torch() -> None:
    by_catalogue = {kind for model in MODELS.values() if model.extra == "neural" for kind in model.kinds}
    assert network_kinds() == by_catalogue
