"""A server over a scanned library, as a client in this process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from music_reclass.config import load
from music_reclass.web.access import Access
from music_reclass.web.app import application
from music_reclass.web.work import Work
from tests.library import Shell

TOKEN = "a-token-of-tests"
BASE = "http://127.0.0.1"


def let_an_album_be_unsure(path: Path) -> None:
    """The models are sure of the demo's tunes; one album shall be left to a person."""
    database = sqlite3.connect(path)
    with database:
        query = "SELECT album, artist FROM track WHERE album <> '' GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2"
        named = database.execute(query).fetchone()
        database.execute(
            "UPDATE decision SET outcome = 'unsure', reason = 'uncertain', genres = '[]'"
            " WHERE track_id IN (SELECT id FROM track WHERE album = ? AND artist = ?)",
            named,
        )
    database.close()


@pytest.fixture
def work(scanned: Path, shell: Shell) -> Iterator[Work]:
    """What requests share, on the demo's library."""
    let_an_album_be_unsure(shell.db)
    made = Work(replace(load({}), db=shell.db), ["--db", str(shell.db)])
    yield made
    made.close()


@pytest.fixture
def access() -> Access:
    """The secrets of the server, with a token that programs may send."""
    return Access(TOKEN)


@pytest.fixture
def stranger(work: Work, access: Access) -> Iterator[TestClient]:
    """A client that has shown nothing yet."""
    with TestClient(application(work, access), base_url=BASE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    """A client with the token."""
    stranger.headers["authorization"] = f"Bearer {TOKEN}"
    return stranger
