"""The Python API gives what the commands give, imports nothing before it is asked, and says what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import music_reclass as reclass
from music_reclass.api import OpenLibrary
from music_reclass.errors import NothingToDo, TrackError, UsageError
from tests.library import Shell


def test_importing_the_package_imports_none_of_it() -> None:
    code = (
        "import sys, music_reclass; print([n for n in sys.modules if n.startswith('music_reclass.') or n == 'numpy'])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    with pytest.raises(AttributeError):
        _ = reclass.nothing


def test_a_file_is_classified_as_a_scan_of_it_alone_does(music: Path, shell: Shell) -> None:
    song = sorted(music.rglob("*.mp3"))[0]
    track = reclass.classify(song, stages="1")
    assert shell("scan", song, "-n", "--stages", "1", "--json") == 0
    (row,) = shell.objects()
    assert track.decision is not None
    assert (track.decision.outcome.value, list(track.decision.genres)) == (row["outcome"], row["genres"])
    assert track.decision.votes[-1].probabilities == pytest.approx(row["votes"]["fma518"], abs=1e-5)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo):
        reclass.classify(tmp_path / "nothing.mp3")
    (tmp_path / "text.mp3").write_text("no music")
    with pytest.raises(TrackError):
        reclass.classify(tmp_path / "text.mp3", stages="1")
    with pytest.raises(UsageError):
        reclass.classify(tmp_path / "text.mp3", stage="1")
    with pytest.raises(NothingToDo):
        reclass.open_library(tmp_path / "nothing.sqlite3")


def test_a_library_is_asked_and_decided_about(scanned: Path, shell: Shell) -> None:
    song = sorted(scanned.rglob("*.mp3"))[0]
    with reclass.open_library(shell.db) as library:
        assert isinstance(library, OpenLibrary)
        assert {Path(track.path) for track in library.tracks(song.parent)} >= {song}
        known = library.track(song)
        assert known is not None
        assert known.decision is not None
        assert library.track(scanned / "nothing") is None
        assert library.similar(song, count=3)[0].similarity <= 1
        assert library.decide(song, genres=["hip hop"]) == 1
        (mine,) = library.user_decisions()
        assert (mine.genres, mine.source) == (("Hip-Hop",), "python")
        for wrong in (["Jaz"], "Jazz", []):
            with pytest.raises(UsageError):
                library.decide(song, genres=wrong)
        with pytest.raises(NothingToDo):
            library.similar(scanned / "nothing")
    assert shell("relabel") == 0
    assert shell("export", "--format", "jsonl") == 0
    assert shell.by_name()[song.name]["genres"] == ["Hip-Hop"]


def test_the_examples_of_the_reference_run(scanned: Path, shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "python.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    song = sorted(scanned.rglob("*.mp3"))[0]
    exec(compile(code, "python.md", "exec"), {"song": song, "folder": scanned, "database": shell.db})
    assert "track Ida" in capsys.readouterr().out or reclass.open_library(shell.db).user_decisions()
