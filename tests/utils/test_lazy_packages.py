"""The sentence for a missing package names what to install, and nothing is imported before it is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from music_reclass.errors import MissingExtra, ReclassError
from music_reclass.utils import torch_install
from music_reclass.utils.lazy import require
from music_reclass.utils.torch_install import Machine


def test_a_package_that_is_hidden_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra) as caught:
        require("torch", extra="neural")
    assert str(caught.value) == "This needs the package torch: pip install 'music_reclass[neural]'."
    assert isinstance(caught.value, ReclassError)


def test_on_a_jetson_a_missing_torch_is_answered_with_the_command_that_brings_nvidias(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    orin = Machine(board="NVIDIA Jetson Orin NX", jetpack="6.2", python=(3, 10))
    monkeypatch.setattr(torch_install, "this_machine", lambda: orin)
    with pytest.raises(MissingExtra) as caught:
        require("torch", extra="neural")
    assert str(caught.value).startswith("This needs the package torch. NVIDIA Jetson Orin NX with JetPack 6.2 needs")
    assert " -m pip install 'numpy<2' https://developer.download.nvidia.com/" in str(caught.value)
    assert "music_reclass[neural]" not in str(caught.value)
    monkeypatch.setattr(torch_install, "this_machine", lambda: Machine(board="NVIDIA Jetson Xavier NX", jetpack="5"))
    with pytest.raises(MissingExtra, match="JetPack 5 is too old"):
        require("torch", extra="neural")


def test_a_part_of_a_missing_package_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtra, match=r"the package sklearn: .*\[train\]"):
        require("sklearn.never_imported", extra="train")


def test_a_part_that_an_older_release_lacks_is_said_to_be_missing_with_the_same_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "oldpackage").mkdir()
    (tmp_path / "oldpackage" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtra, match="oldpackage"):
        require("oldpackage.newer_part", extra="train")
    sys.modules.pop("oldpackage", None)


def test_a_part_comes_back_itself_and_not_its_package() -> None:
    assert require("os.path", extra="all").join("a", "b") == "a/b"


def test_an_error_that_is_no_import_error_is_a_sentence_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "noisy_package.py").write_text("raise RuntimeError('no driver')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtra, match=r"does not load \(RuntimeError: no driver\)"):
        require("noisy_package", extra="neural")
