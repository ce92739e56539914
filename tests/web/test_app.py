"""Errors that somebody can mend are sentences with a status."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from music_reclass.errors import DatabaseError, FailTrack, NothingToDo, ReclassError
from music_reclass.web.jobs import Busy
from music_reclass.web.work import Work


@pytest.mark.parametrize(
    ("error", "status"),
    [(Busy("One is at work."), 409), (NothingToDo("Nothing."), 404), (DatabaseError("Locked."), 503),
     (ReclassError("Wrong."), 400), (FailTrack("io", "the file could not be read"), 422)],
)  # fmt: skip
def test_an_error_is_a_sentence_with_its_status(
    client: TestClient, work: Work, error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(work.current, "get", fail)
    answer = client.get("/api/v1/stats")
    assert answer.status_code == status
    assert answer.json()["detail"] == str(error)


def test_the_document_of_the_api_names_every_path(client: TestClient) -> None:
    found = client.get("/openapi.json").json()
    for path in (
        "/tracks",
        "/tracks/{track}",
        "/albums",
        "/decisions",
        "/runs",
        "/genres",
        "/stats",
        "/scan",
        "/classify",
    ):
        assert f"/api/v1{path}" in found["paths"]
    assert "/review" not in found["paths"]
    for path, methods in found["paths"].items():
        for one in methods.values():
            assert one.get("description"), path
