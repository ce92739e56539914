"""A ladder comes back from disk as it was written, and a strange list is refused in one sentence."""

import json
from pathlib import Path

import pytest

from music_reclass.errors import BundleError
from music_reclass.models.bundle import CASCADE, embedded, load_cascade, save, save_cascade


def test_a_ladder_comes_back_in_its_order(tmp_path: Path) -> None:
    own = (embedded(), embedded("musicnn"))
    save_cascade(own, tmp_path / "ladder")
    back = load_cascade(tmp_path / "ladder")
    assert [bundle.digest for bundle in back] == [bundle.digest for bundle in own]


def test_a_single_bundle_is_a_ladder_of_one(tmp_path: Path) -> None:
    save(embedded(), tmp_path)
    assert [bundle.stage for bundle in load_cascade(tmp_path)] == ["fma518"]


def test_a_stage_twice_or_none_is_refused(tmp_path: Path) -> None:
    for wrong in ((), (embedded(), embedded())):
        with pytest.raises(BundleError, match="at least one stage"):
            save_cascade(wrong, tmp_path)


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
    (tmp_path / CASCADE).write_text(listed)
    with pytest.raises(BundleError, match="no list of stages"):
        load_cascade(tmp_path)


def test_a_stage_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / CASCADE).write_text(json.dumps({"format": 1, "stages": ["fma518"]}))
    with pytest.raises(BundleError, match="no bundle"):
        load_cascade(tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        save_cascade((embedded(),), tmp_path / "file")
