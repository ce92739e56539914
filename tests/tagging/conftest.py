"""A journal on disk, and a file of any kind to write to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from tests.tagging.samples import SUFFIX_OF_KIND, tagged


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "library.sqlite3"


@pytest.fixture
def journal(database_path: Path) -> Iterator[Journal]:
    journal = Journal(Database(database_path))
    journal.database.connection.execute("PRAGMA synchronous = OFF")  # what is tested here is not the disk
    yield journal
    journal.database.close()


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Path]:
    def put(kind: str = "mp3 v2.3", genres: tuple[str, ...] | None = ("Other",), name: str = "tune") -> Path:
        folder = tmp_path / "music"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}{SUFFIX_OF_KIND[kind]}"
        path.write_bytes(tagged(kind, genres))
        return path

    return put
