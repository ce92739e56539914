"""A file that reclass did not make is not written over without --force, by any command; one that it made is."""

from __future__ import annotations

from pathlib import Path

import pytest

from music_reclass.cli import output
from music_reclass.errors import UsageError
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell

COMMANDS = {
    "page.html": ["report", "--html"],
    "list.csv": ["export", "--out"],
    "list.jsonl": ["export", "--format", "jsonl", "--out"],
    "copy.backup": ["db", "backup", "--out"],
}


@pytest.fixture
def filled(library: DecidedLibrary, shell: Shell) -> Shell:
    """A library of two genres."""
    library.add(Tune("a.mp3", "Rock"), Tune("b.mp3", "Jazz"))
    return shell


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_of_somebody_else_needs_force(name: str, filled: Shell, tmp_path: Path) -> None:
    place = tmp_path / name
    place.write_text("my thesis")
    assert filled(*COMMANDS[name], place) == 2
    assert "was not made by reclass; name another file, or write over it with --force" in filled.err
    assert place.read_text() == "my thesis"
    assert filled(*COMMANDS[name], place, "--force") == 0
    assert place.read_bytes()[:9] != b"my thesis"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "copy.backup"])
def test_an_earlier_output_and_an_empty_file_are_written_over(name: str, filled: Shell, tmp_path: Path) -> None:
    place = tmp_path / name
    place.touch()
    assert filled(*COMMANDS[name], place) == 0
    first = place.read_bytes()
    assert first
    place.write_bytes(first + b"\n")
    assert filled(*COMMANDS[name], place) == 0
    assert place.stat().st_size < len(first) + 1 or name == "page.html"


def test_no_playlist_is_written_where_one_of_somebody_else_has_its_name(filled: Shell, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    words = ["export", "--format", "m3u", "--out", lists]
    assert filled(*words) == 0
    assert filled(*words) == 0  # its own
    names = sorted(path.name for path in lists.iterdir())
    for path in lists.iterdir():
        path.unlink()
    (lists / names[-1]).write_bytes(b"#EXTM3U\nmine.mp3\n")
    assert filled(*words) == 2
    assert [path.name for path in lists.iterdir()] == [names[-1]]
    assert (lists / names[-1]).read_bytes() == b"#EXTM3U\nmine.mp3\n"
    assert filled(*words, "--force") == 0
    assert sorted(path.name for path in lists.iterdir()) == names


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_pictures_are_known_by_a_mark(ending: str, tmp_path: Path) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    from music_reclass.explain.plot import origin

    for mine, metadata in ((True, origin(ending)), (False, None)):
        path = tmp_path / f"{mine}{ending}"
        figures.Figure().savefig(path, metadata=metadata)
        if mine:
            output.check_output(path)
        else:
            with pytest.raises(UsageError, match="not made by reclass"):
                output.check_output(path)
            output.check_output(path, force=True)
