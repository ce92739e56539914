"""What requests share is made once for each thread, and ends with the server."""

from __future__ import annotations

import threading

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
