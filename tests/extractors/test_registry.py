"""Extractors are found by name, and imported only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from music_reclass.errors import UsageError
from music_reclass.extractors.registry import EXCERPTS, EXTRACTORS, extractor, require_weights
from music_reclass.extractors.weights.store import MissingWeights


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
