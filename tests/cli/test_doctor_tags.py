"""`doctor tags FILE`."""

import json
from pathlib import Path

from click.testing import CliRunner

from music_reclass.cli.doctor import tags
from music_reclass.errors import NothingToDo
from tests.tagging.samples import sample


def test_every_reader_has_its_line_and_blind_spots_are_named(tmp_path: Path) -> None:
    import mutagen

    path = tmp_path / "tune.m4a"
    path.write_bytes(sample("aac"))
    file = mutagen.File(path)
    file["\xa9gen"] = ["Rock", "Jazz"]
    file.save()
    result = CliRunner().invoke(tags, [str(path)])
    assert result.exit_code == 0
    assert "mutagen" in result.output
    assert "Rock | Jazz" in result.output
    assert "see only the first of 2 genres" in result.output
    found = json.loads(CliRunner().invoke(tags, [str(path), "--json"]).output)
    assert found["readers"]["ffmpeg"] == ["Rock"]
    assert found["readers"]["navidrome"] == ["Rock", "Jazz"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(tags, [str(tmp_path / "absent.mp3")])
    assert isinstance(result.exception, NothingToDo)
