"""A ladder comes back from disk as it was written, and a strange list is refused in one sentence."""

import json
from pathlib import Path

import pytest

from music_reclass.errors import BundleError
from music_reclass.models import bundle as bundles
from music_reclass.models import bundle as ladders
from music_reclass.models import bundle as musicnn_ensemble


def test_a_ladder_comes_back_in_its_order(tmp_path: Path) -> None:
    own = (bundles.embedded(), musicnn_ensemble.embedded("musicnn"))
    ladders.save_cascade(own, tmp_path / "ladder")
    back = ladders.load_cascade(tmp_path / "ladder")
    assert [bundle.digest for bundle in back] == [bundle.digest for bundle in own]


def test_a_single_bundle_is_a_ladder_of_one(tmp_path: Path) -> None:
    bundles.save(bundles.embedded(), tmp_path)
    assert [bundle.stage for bundle in ladders.load_cascade(tmp_path)] == ["fma518"]


def test_a_stage_twice_or_none_is_refused(tmp_path: Path) -> None:
    for wrong in ((), (bundles.embedded(), bundles.embedded())):
        with pytest.raises(BundleError, match="at least one stage"):
            ladders.save_cascade(wrong, tmp_path)


@pytest.mark.parametrize(
    "listed",
    [
        "not json",
        "[]",
        json.dumps({"format": 2, "stages": ["fma518"]}),
        json.dumps({"format": 1, "stages": []}),
        json.dumps({"format": 1, "stages": ["../fma518"]}),
        json.dumps({"format": 1, "stages": [".."]}),
        json.dumps({"format": 1, "stages": [7]}),
    ],
)
def test_a_list_without_sense_is_refused(tmp_path: Path, listed: str) -> None:
    (tmp_path / ladders.CASCADE).write_text(listed)
    with pytest.raises(BundleError, match="no list of stages"):
        ladders.load_cascade(tmp_path)


def test_a_stage_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / ladders.CASCADE).write_text(json.dumps({"format": 1, "stages": ["fma518"]}))
    with pytest.raises(BundleError, match="no bundle"):
        ladders.load_cascade(tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        ladders.save_cascade((bundles.embedded(),), tmp_path / "file")
