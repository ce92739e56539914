"""The demo touches nobody's music."""

from __future__ import annotations

from pathlib import Path

import pytest

from music_reclass.cli.main import run
from tests.library import digests


@pytest.mark.parametrize("name", ["Music/song.mp3", "Music/notes.txt", "library.sqlite3"])
def test_a_folder_that_holds_music_or_a_library_is_refused_and_left_alone(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"somebody's")
    before = digests(tmp_path)
    assert run(["demo", "--keep", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{tmp_path / Path(name).parts[0]} is there already; name an empty folder." in err
    assert digests(tmp_path) == before


def test_a_file_is_no_folder_to_keep_it_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    assert run(["demo", "--keep", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err
