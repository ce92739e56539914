"""The REST API says and does what the pages need, and answers nonsense with a sentence."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from music_reclass.features.database import Database
from music_reclass.web.api import ranged
from music_reclass.web.work import Work

LARGEST = 2**63 - 1


def finished(client: TestClient) -> dict[str, Any]:
    """The job, once it has ended."""
    for _ in range(3000):
        job: dict[str, Any] = client.get("/api/v1/job").json()
        if job and not job["running"]:
            return job
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def first(client: TestClient, **wanted: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/v1/tracks", params=wanted).json()["items"][0]
    return found


def test_pages_of_tracks_follow_each_other_to_the_end(client: TestClient) -> None:
    whole = client.get("/api/v1/tracks", params={"limit": 200}).json()
    assert whole["next"] is None
    assert whole["count"] == len(whole["items"])
    paths, after = [], None
    while True:
        page = client.get("/api/v1/tracks", params={"limit": 3, **({} if after is None else {"after": after})}).json()
        paths += [item["path"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert paths == [item["path"] for item in whole["items"]]


def test_a_track_has_its_votes_and_its_album(client: TestClient) -> None:
    item = first(client, outcome="likely")
    found = client.get(f"/api/v1/tracks/{item['id']}").json()
    assert found["votes"]
    assert item["id"] in found["album"]
    assert found["history"] == []
    explanation = client.get(f"/api/v1/tracks/{item['id']}/explanation").json()
    assert explanation["path"] == found["path"]
    assert explanation["genres"] == found["genres"]


def test_a_decision_is_kept_by_relabel_and_written_by_apply_and_undone(client: TestClient, work: Work) -> None:
    item = first(client)
    before = Path(item["path"]).read_bytes()
    answer = client.post(
        "/api/v1/decisions", json={"tracks": [item["id"]], "action": "change", "genres": ["jazz"], "scope": "track"}
    ).json()
    assert answer["items"][0]["genres"] == ["Jazz"]
    assert client.get("/api/v1/decisions").json()["items"][0]["genres"] == ["Jazz"]
    explanation = client.get(f"/api/v1/tracks/{item['id']}/explanation").json()
    assert (explanation["user"]["genres"], explanation["action"]) == (["Jazz"], "write")
    assert "chose Jazz, which holds" in client.get(f"/parts/explanation/{item['id']}").text
    work.jobs.start("relabel")
    assert finished(client)["code"] == 0
    assert client.get(f"/api/v1/tracks/{item['id']}").json()["genres"] == ["Jazz"]
    assert client.post("/api/v1/apply", json={"tracks": [item["id"]]}).status_code == 202
    job = finished(client)
    assert (job["code"], job["counts"].get("written")) == (0, 1), job
    assert Path(item["path"]).read_bytes() != before
    run = client.get(f"/api/v1/tracks/{item['id']}").json()["history"][0]
    assert run["after"] == ["Jazz"]
    assert client.post(f"/api/v1/runs/{run['run']}/undo").status_code == 202
    assert finished(client)["code"] == 0
    assert Path(item["path"]).read_bytes() == before


def test_accepting_makes_what_was_found_the_word_of_a_person(client: TestClient) -> None:
    album = client.get("/api/v1/albums").json()["items"][0]
    tracks = client.get(f"/api/v1/albums/{album['id']}").json()["tracks"]
    found = {track["id"]: track["genre"] for track in tracks if track["genre"]}
    client.post("/api/v1/decisions", json={"tracks": list(found), "action": "accept"})
    for number, genre in found.items():
        track = client.get(f"/api/v1/tracks/{number}").json()
        assert (track["genres"], track["reason"]) == ([genre], "chosen")


def test_the_queue_loses_an_album_that_is_answered_and_gets_it_back(client: TestClient) -> None:
    queue = client.get("/api/v1/albums").json()
    album = queue["items"][0]["id"]
    ids = [track["id"] for track in client.get(f"/api/v1/albums/{album}").json()["tracks"]]
    answer = client.post("/api/v1/decisions", json={"tracks": ids, "action": "leave"}).json()["answer"]
    after = client.get("/api/v1/albums").json()
    assert after["count"] == queue["count"] - 1
    assert album not in [item["id"] for item in after["items"]]
    assert client.delete(f"/api/v1/decisions/{answer}").status_code == 200
    assert client.delete(f"/api/v1/decisions/{answer}").status_code == 410


def test_an_unknown_genre_is_refused_with_a_guess(client: TestClient) -> None:
    answer = client.post("/api/v1/decisions", json={"tracks": [1], "action": "change", "genres": ["Jaz"]})
    assert answer.status_code == 422
    assert "Jazz" in answer.json()["detail"]
    assert client.post("/api/v1/decisions", json={"tracks": [1], "action": "change"}).status_code == 422


def test_a_scan_is_started_followed_and_counted(client: TestClient, music: Path) -> None:
    answer = client.post("/api/v1/scan", json={"paths": [str(music)]})
    assert answer.status_code == 202
    assert client.post("/api/v1/scan", json={"paths": [str(music)]}).status_code == 409
    with client.stream("GET", "/api/v1/scan/events") as stream:
        states = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert states[-1]["running"] is False
    assert states[-1]["code"] == 0
    assert client.delete("/api/v1/scan").status_code == 409


def test_a_scan_of_what_is_not_there_is_refused(client: TestClient, tmp_path: Path) -> None:
    for path in (str(tmp_path / "nowhere"), "a\0b", "--yes"):
        answer = client.post("/api/v1/scan", json={"paths": [path]})
        assert answer.status_code == 404
        assert "does not exist" in answer.json()["detail"]


def test_an_uploaded_file_is_classified_and_nothing_is_stored(client: TestClient, work: Work) -> None:
    item = first(client, outcome="likely")
    count = work.database.connection.execute("SELECT count(*) FROM track").fetchone()
    with open(item["path"], "rb") as file:
        found = client.post("/api/v1/classify", files={"file": ("../x.flac", file)}).json()
    assert found["votes"]
    assert found["outcome"] in ("confident", "likely", "unsure")
    assert work.database.connection.execute("SELECT count(*) FROM track").fetchone() == count
    answer = client.post("/api/v1/classify", files={"file": ("x.mp3", b"no music at all")})
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert answer.json()["outcome"] in ("skipped", "failed")


def test_only_files_of_the_library_are_served(client: TestClient, work: Work) -> None:
    numbers = ("0", "99999", "..%2f1", str(LARGEST), str(LARGEST + 1), "1.5", "-1")
    for path in (f"/api/v1/tracks/{number}/audio" for number in numbers):
        assert client.get(path).status_code in (404, 422)
    item = first(client)
    os.rename(item["path"], item["path"] + ".gone")
    assert client.get(f"/api/v1/tracks/{item['id']}/audio").status_code == 404


def test_the_excerpt_is_served_in_ranges(client: TestClient) -> None:
    item = first(client)
    path = f"/api/v1/tracks/{item['id']}/audio"
    whole = client.get(path)
    assert whole.headers["content-type"] == "audio/wav"
    part = client.get(path, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert len(client.get(f"/api/v1/tracks/{item['id']}/peaks").json()["peaks"]) == 1000
    assert client.get(f"/api/v1/tracks/{item['id']}/spectrogram").content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [("", 200, b"0123456789"), ("bytes=0-0", 206, b"0"), ("bytes=7-", 206, b"789"), ("bytes=-3", 206, b"789"),
     ("bytes=-99", 206, b"0123456789"), ("bytes=8-99", 206, b"89"), ("bytes=10-", 416, b""), ("bytes=5-2", 416, b""),
     ("bytes=0-1,4-5", 200, b"0123456789"), ("bytes=x-y", 200, b"0123456789"), ("lines=0-1", 200, b"0123456789"),
     ("bytes=-", 200, b"0123456789"), ("bytes=--5", 200, b"0123456789"),
     ("bytes=99999999999999999999999-", 416, b"")],
)  # fmt: skip
def test_a_range_is_within_the_bytes(asked: str, status: int, content: bytes) -> None:
    answer = ranged(b"0123456789", "audio/wav", asked)
    assert (answer.status_code, answer.body) == (status, content)


def test_the_outline_is_that_of_the_scan_and_is_made_where_it_has_none(client: TestClient, work: Work) -> None:
    path = f"/api/v1/tracks/{first(client)['id']}/peaks"
    stored = client.get(path).json()["peaks"]
    with work.database.transaction():
        work.database.connection.execute("DELETE FROM peaks")
    made = client.get(path).json()["peaks"]
    assert max(abs(one - other) for one, other in zip(stored, made, strict=True)) <= 12  # at another sample rate
    assert max(map(abs, stored)) > 10


def test_names_that_are_no_utf8_are_shown(client: TestClient, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(work.settings.database)
    with other:
        other.execute("UPDATE track SET path = CAST(path || x'ff' AS BLOB), missing_since = NULL WHERE id = 1")
    other.close()
    monkeypatch.setattr("music_reclass.web.snapshot._SETTLED", 0.0)
    for path in ("/api/v1/tracks", "/library", "/tracks/1", "/api/v1/tracks/1", "/review/1"):
        assert client.get(path).status_code == 200
    assert client.get("/api/v1/tracks/1").json()["path"].endswith("\\xff")


def test_similar_tracks_say_why_and_are_never_the_track_itself(client: TestClient) -> None:
    track = first(client, outcome="likely")["id"]
    found = client.get(f"/api/v1/tracks/{track}/similar", params={"count": 3}).json()["items"]
    assert 1 <= len(found) <= 3
    assert track not in [item["id"] for item in found]
    assert [item["similarity"] for item in found] == sorted((item["similarity"] for item in found), reverse=True)
    assert all(isinstance(item["why"], list) for item in found)
    assert "sounds" in client.get(f"/tracks/{track}").text
    assert client.get(f"/parts/similar/{track}").text.count('<tr class="row"') >= 1


def test_the_statistics_count_every_track_once(client: TestClient) -> None:
    found = client.get("/api/v1/stats").json()
    assert sum(found["outcomes"].values()) == found["tracks"]
    assert sum(found["before"].values()) == found["tracks"]
    assert found["curve"][0]["tracks"] == found["outcomes"].get("confident", 0) + found["outcomes"].get("likely", 0)
    genres = client.get("/api/v1/genres").json()
    assert genres["genres"]["Shoegaze"]
    assert client.get("/api/v1/runs").json() == {"items": []}


def test_the_map_comes_compressed(client: TestClient) -> None:
    for _ in range(500):
        answer = client.get("/api/v1/map")
        if answer.status_code == 200:
            break
        time.sleep(0.02)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["count"] > 0


NONSENSE = (
    ("GET", "/api/v1/tracks?limit=0"), ("GET", "/api/v1/tracks?limit=201"), ("GET", "/api/v1/tracks?after=-1"),
    ("GET", f"/api/v1/tracks?after={LARGEST + 1}"), ("GET", "/api/v1/tracks?outcome=%00"),
    ("GET", "/api/v1/tracks/x"), ("GET", "/api/v1/albums/0"), ("POST", "/api/v1/decisions"),
    ("POST", "/api/v1/scan"), ("POST", "/api/v1/classify"), ("DELETE", "/api/v1/decisions/-1"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), NONSENSE)
def test_nonsense_is_refused(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize("text", ["", "%", "_", "'; DROP TABLE track;--", "\0", "a" * 200, "é", "\ud83d", "\n"])
def test_any_text_may_be_searched(client: TestClient, text: str) -> None:
    encoded = text.encode("utf-8", "replace").decode()
    assert client.get("/api/v1/tracks", params={"q": encoded}).status_code == 200


def test_a_file_that_vanished_is_said(client: TestClient) -> None:
    item = first(client, outcome="likely")
    os.unlink(item["path"])
    for what in ("audio", "spectrogram", "explanation"):
        answer = client.get(f"/api/v1/tracks/{item['id']}/{what}")
        assert (answer.status_code, answer.json()["detail"]) == (404, "The file is gone.")
    assert client.get(f"/parts/explanation/{item['id']}").status_code == 404
    assert client.get(f"/tracks/{item['id']}").status_code == 200


def test_a_locked_library_is_a_sentence_and_nothing_is_half_stored(
    client: TestClient, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("music_reclass.features.database.BUSY_SECONDS", 0.01)
    item = first(client, outcome="likely")
    monkeypatch.setattr(Work, "database", property(lambda self: Database(self.settings.database)))
    other = sqlite3.connect(work.settings.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    wanted = {"tracks": [item["id"]], "action": "leave"}
    answer = client.post("/api/v1/decisions", json=wanted)
    assert answer.status_code == 503
    assert "locked" in answer.json()["detail"]
    assert client.get("/api/v1/tracks").status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert client.get("/api/v1/decisions").json()["items"] == []
    assert client.post("/api/v1/decisions", json=wanted).status_code == 200


def test_the_server_decodes_nothing_itself(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fatal(*_: object, **__: object) -> None:
        raise AssertionError("a decoder ran in the process of the server")

    monkeypatch.setattr("music_reclass.web.contents._explained", fatal)  # in this process alone
    sent = client.post("/api/v1/classify", files={"file": ("song.mp3", b"ID3" + bytes(2000), "audio/mpeg")})
    assert sent.status_code == 200
    assert sent.json()["outcome"] == "skipped"


def test_a_range_with_endless_digits_is_no_range() -> None:
    assert ranged(b"abc", "audio/wav", f"bytes={'9' * 5000}-").status_code == 200
