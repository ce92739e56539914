"""The demo shows the whole job."""

from pathlib import Path

import pytest

from music_reclass.cli.main import run


def test_the_demo_ends_with_every_byte_restored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["demo", "--keep", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "$ reclass undo --yes" in out
    found = {line.partition(" -> ")[2].split()[0] for line in out.splitlines() if " -> " in line and "%" in line}
    assert {"Electronic", "Rock"} <= found  # not all one genre, and not sure of all
    assert "not sure enough" in out
    assert "10 of 10 files have the very bytes" in out
    assert len(list((tmp_path / "Music").rglob("*.*"))) == 10
