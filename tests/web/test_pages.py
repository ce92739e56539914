"""Every page is there, whole, and shows hostile names without obeying them."""

from __future__ import annotations

import re
import sqlite3

import pytest
from fastapi.testclient import TestClient

from music_reclass.features.decisions import Decisions
from music_reclass.features.user_decisions import UserDecisions
from music_reclass.web.pages import render
from music_reclass.web.work import Work

PAGES = (
    "/",
    "/review",
    "/review/1",
    "/library",
    "/library?part=true",
    "/tracks/1",
    "/map",
    "/runs",
    "/plex",
    "/models",
)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{7*7}}</title>"


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_and_needs_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    for target in re.findall(r"(?:src|href|hx-get)=[\"']([^\"']+)", answer.text):
        assert target.startswith(("/", "#")), target
    assert " style=" not in answer.text  # the policy would not let it through
    assert not re.search(r"\son\w+=", answer.text)
    for script in re.findall(r"<script(?![^>]*\b(?:src|type=\"application/json\"))[^>]*>", answer.text):
        pytest.fail(f"a script within the page: {script}")


@pytest.mark.parametrize("path", ["/", "/review", "/review/1", "/library", "/tracks/1", "/parts/explanation/1"])
def test_hostile_tags_are_shown_as_text(client: TestClient, work: Work, path: str) -> None:
    other = sqlite3.connect(work.settings.database)
    with other:
        other.execute(
            "UPDATE track SET title = ?1, artist = ?1, album = ?1, album_artist = ?1, genres = json_array(?1)",
            (HOSTILE,),
        )
    other.close()
    text = client.get(path).text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    if path in ("/review/1", "/library", "/tracks/1"):
        assert "&lt;script&gt;" in text
        assert "49</title>" not in text


def test_how_a_tag_stands_to_the_decision_is_said_in_words(client: TestClient, work: Work) -> None:
    with sqlite3.connect(work.settings.database) as other:
        other.execute("UPDATE track SET genres = json_array('conflict')")  # a genre of that name stays as it is
    other.close()
    text = client.get("/library?relation=conflict").text
    assert '<option value="conflict" selected>another genre in the file</option>' in text
    assert '<option value="conflict">conflict</option>' in text
    assert "likely, another genre in the file" in text
    number = client.get("/api/v1/tracks?relation=conflict").json()["items"][0]["id"]
    assert "(likely): another genre in the file." in client.get(f"/tracks/{number}").text


def test_a_page_of_the_library_has_at_most_a_hundred_rows(client: TestClient) -> None:
    assert client.get("/library").text.count('<tr class="row"') <= 100


def test_an_empty_library_has_pages_too(client: TestClient, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(work.settings.database)
    with other:
        other.execute("UPDATE track SET missing_since = 1")
    other.close()
    for path in PAGES:
        if path not in ("/tracks/1", "/review/1"):
            assert client.get(path).status_code == 200
    assert client.get("/review/999").status_code == 200
    assert client.get("/tracks/999").status_code == 404


def test_labels_stand_by_every_field_and_every_picture_has_words(client: TestClient) -> None:
    for path in PAGES:
        text = client.get(path).text
        named = set(re.findall(r"<label[^>]*for=\"([^\"]+)\"", text))
        for field in re.findall(r"<(?:input|select)([^>]*)>", text):
            if "checkbox" not in field:
                found = re.search(r"id=\"([^\"]+)\"", field)
                assert found is not None, (path, field)
                assert found.group(1) in named, (path, field)
        assert not re.search(r"<img(?![^>]*\balt=)", text)
        if "part=" not in path:
            assert text.count("<h1") == 1, path
            assert "<main" in text
            assert 'lang="en"' in text


def test_a_template_that_lacks_a_value_fails_rather_than_showing_nothing() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render("_rows.html")


def test_what_was_decided_for_an_artist_can_be_forgotten_on_the_page_of_a_track(client: TestClient, work: Work) -> None:
    track = next(one for one in Decisions(work.database).tracks(work.current.get().ids.tolist()) if one.tags.artist)
    order = {"tracks": [track.id], "action": "change", "genres": ["Jazz"], "scope": "artist"}
    assert client.post("/api/v1/decisions", json=order).status_code == 200
    button = re.search(r'<button[^>]*data-answer="forget"[^>]*>', client.get(f"/tracks/{track.id}").text)
    assert button is not None
    scope = re.search(r'data-scope="(\w+)"', button[0])
    assert scope is not None
    order = {"tracks": [track.id], "action": "forget", "scope": scope[1]}
    assert client.post("/api/v1/decisions", json=order).status_code == 200
    assert UserDecisions(work.database).all() == []
