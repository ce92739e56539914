"""A library for tests: the demo's tunes, made once a session and copied; and the command line as a function."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from music_reclass.cli.main import run

WEIGHTS = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "weights" / "musicnn_jamendo.pth"


@dataclass(slots=True)
class Shell:
    """Runs `reclass` in this process on one database, and keeps what it printed."""

    db: Path
    capture: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""
    codes: list[int] = field(default_factory=list)

    def __call__(self, *words: str | Path) -> int:
        self.capture.readouterr()
        code = run([*map(str, words), "--db", str(self.db)])
        self.out, self.err = self.capture.readouterr()
        assert "Traceback" not in self.out + self.err
        self.codes.append(code)
        return code

    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines of the last command."""
        return [json.loads(line) for line in self.out.splitlines()]

    def by_name(self) -> dict[str, dict[str, Any]]:
        """The JSON lines of the last command by file name."""
        return {Path(item["path"]).name: item for item in self.objects()}


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def copied(source: Path, target: Path) -> Path:
    """A fresh copy of a folder."""
    shutil.copytree(source, target)
    return target
