"""What many tests share: one synthesised library a session, a shell for the command line, no settings from outside."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

# Before NumPy loads: on a busy machine one thread is many times faster than two, and vectors are the same to the bit.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shell starts what runs in the background with Ctrl-C ignored, and so would be every command that a test interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from music_reclass.cli.main import run  # noqa: E402
from music_reclass.extractors.audio.synthesis import make_library  # noqa: E402
from tests.library import WEIGHTS, Shell, copied  # noqa: E402

# Machines that run tests are shared: how long an example took says nothing about the code.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also the long form of the torture suite (tests/torture)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("slow")])
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_settings(monkeypatch, tmp_path_factory.getbasetemp() / "home")


def _without_settings(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in [name for name in os.environ if name.startswith("RECLASS_")]:
        patch.delenv(name)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        patch.setenv(name, str(home / name))


@pytest.fixture(scope="session")
def demo_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's eleven tunes in eight formats; not to be written to."""
    folder = tmp_path_factory.mktemp("demo") / "Music"
    make_library(folder)
    return folder


@pytest.fixture
def music(demo_library: Path, tmp_path: Path) -> Path:
    """A copy of the demo's library that may be written to."""
    return copied(demo_library, tmp_path / "Music")


@pytest.fixture(scope="session")
def _scanned_once(demo_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the demo's library in `Music`, and in `library.sqlite3` what a scan of it has stored."""
    folder = tmp_path_factory.mktemp("scanned")
    with pytest.MonkeyPatch.context() as patch:
        _without_settings(patch, tmp_path_factory.getbasetemp() / "home")
        copied(demo_library, folder / "Music")
        assert (
            run(["scan", str(folder / "Music"), "--dry-run", "--quiet", "--db", str(folder / "library.sqlite3")]) == 0
        )
    return folder


@pytest.fixture
def scanned(_scanned_once: Path, demo_library: Path, shell: Shell) -> Path:
    """The demo's library as `music`, of which the shell's database knows what one scan has stored: no audio is read."""
    shutil.rmtree(_scanned_once / "Music")
    shutil.copyfile(_scanned_once / "library.sqlite3", shell.db)
    return copied(demo_library, _scanned_once / "Music")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line on a database of its own."""
    return Shell(tmp_path / "library.sqlite3", capsys)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """MusiCNN with its real weights, in a folder of models of its own."""
    if not WEIGHTS.is_file():
        pytest.skip("the MusiCNN weights are not beside the checkout (../shared/data/weights)")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    assert run(["models", "install", "musicnn", str(WEIGHTS)]) == 0
    capsys.readouterr()
