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


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("import something_that_is_absent", "something_that_is_absent.*; install it again"),
        ("raise OSError('libcusparseLt.so.0: cannot open shared object file')", "install libcusparselt0"),
        ("raise ImportError('libcudnn.so.8: cannot open shared object file')", "cuDNN is missing or another version"),
        ("raise OSError('libcublas.so.12: cannot open shared object file')", "install one that fits this machine"),
        ("raise ImportError('A module that was compiled using NumPy 1.x cannot be run')", "pip install 'numpy<2'"),
        ("raise AttributeError('_ARRAY_API not found')", "pip install 'numpy<2'"),
        ("raise ValueError('numpy.dtype size changed, may indicate')", "pip install 'numpy<2'"),
        ("raise RuntimeError('operator torchvision::nms does not exist')", "pip uninstall torchaudio"),
    ],
)
def test_a_package_that_does_not_load_is_named_with_what_it_said_and_the_cure(
    code: str, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text(code + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtra, match=rf"broken_package is installed and does not load \(.*{cure}"):
        require("broken_package", extra="neural")
    sys.modules.pop("broken_package", None)
