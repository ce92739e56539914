"""What requests share is made once for each thread, and ends with the server."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from fastapi.testclient import TestClient

from music_reclass.features.user_decisions import UserDecisions
from music_reclass.web.work import Work


def test_each_thread_has_a_connection_of_its_own(work: Work) -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(work.database))
    thread.start()
    thread.join()
    assert found[0] is not work.database
    assert work.database is work.database


def test_a_server_that_ends_stops_its_job(work: Work) -> None:
    work.jobs.start("status")
    work.close()
    job = work.jobs.current
    assert job is not None
    for _ in range(1000):
        if job.ended is not None:
            break
        threading.Event().wait(0.01)
    assert job.ended is not None


def test_a_library_that_was_moved_away_is_said_and_not_made_anew(client: TestClient, work: Work) -> None:
    work.current.get()
    path = work.settings.database
    aside = path.with_name("aside")
    path.rename(aside)
    for answer in (
        client.get("/api/v1/tracks"),
        client.get("/review"),
        client.post("/api/v1/decisions", json={"tracks": [1], "action": "leave"}),
    ):
        assert answer.status_code == 503
        assert "not there any more" in answer.json()["detail"]
    work.current._refresh_if_changed()
    assert not path.exists()
    aside.rename(path)
    assert client.get("/api/v1/tracks").status_code == 200


def test_another_library_in_the_place_of_the_old_one_is_read(work: Work, tmp_path: Path) -> None:
    work.current.get()
    assert UserDecisions(work.database).count() == 0
    other = tmp_path / "other.sqlite3"
    with closing(sqlite3.connect(other)) as copy:
        work.database.connection.backup(copy)
        copy.execute("INSERT INTO user_decision VALUES ('artist', 'x', NULL, 'decide', 1.0, '', '')")
        copy.commit()
    os.replace(other, work.settings.database)
    assert UserDecisions(work.database).count() == 1
