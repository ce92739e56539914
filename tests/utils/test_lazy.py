"""The door for optional packages."""

import sys
from pathlib import Path

import pytest

from music_reclass.errors import MissingExtra
from music_reclass.utils.lazy import require


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'music_reclass\[neural\]'"):
        require("no_such_package.inner", extra="neural")


def test_a_present_package_comes_back() -> None:
    assert require("json", extra="neural").dumps([1]) == "[1]"


def test_a_broken_package_raises_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import something_that_is_absent\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="something_that_is_absent"):
        require("broken_package", extra="neural")
    sys.modules.pop("broken_package", None)
