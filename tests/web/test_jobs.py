"""One command at a time, whose progress and end everybody sees."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from music_reclass.errors import ReclassError
from music_reclass.web.jobs import Busy, Job, Jobs


def ended(jobs: Jobs, seconds: float = 60.0) -> Job:
    """The job, once it has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job = jobs.current
        if job is not None and job.ended is not None:
            return job
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def test_a_command_runs_and_what_it_said_is_kept(tmp_path: Path) -> None:
    jobs = Jobs(["--db", str(tmp_path / "none.sqlite3")])
    jobs.start("status")
    job = ended(jobs)
    assert job.code == 3
    assert "no library" in " ".join(job.messages).casefold() or job.messages
    assert not jobs.stop()


def test_a_second_job_is_refused_while_one_is_at_work(tmp_path: Path) -> None:
    (tmp_path / "Music").mkdir()
    jobs = Jobs(["--db", str(tmp_path / "library.sqlite3")])
    jobs.start("scan", "--dry-run", operands=[str(tmp_path / "Music")])
    with pytest.raises(Busy, match="at work"):
        jobs.start("status")
    ended(jobs)
    jobs.start("status")
    assert ended(jobs).number == 2


def test_a_path_that_looks_like_a_flag_is_a_path(tmp_path: Path) -> None:
    jobs = Jobs(["--db", str(tmp_path / "library.sqlite3")])
    jobs.start("scan", "--dry-run", operands=["--yes"])
    assert ended(jobs).code == 3  # there is no such folder


def test_progress_and_results_are_counted() -> None:
    job = Job(1, ["scan"])
    lines = [
        ("stderr", json.dumps({"progress": {"phase": "reading", "done": 3, "total": 9, "note": "a.mp3"}})),
        ("stdout", json.dumps({"outcome": "likely", "written": True})),
        ("stdout", json.dumps({"outcome": "unsure", "written": False})),
        ("stderr", "a sentence"),
        ("stderr", "{no json"),
        ("stdout", "[]"),
    ]
    for name, line in lines:
        Jobs._take_in(job, line, name)
    assert (job.phase, job.done, job.total, job.note) == ("reading", 3, 9, "a.mp3")
    assert job.counts == {"likely": 1, "written": 1, "unsure": 1}
    assert list(job.messages) == ["a sentence", "{no json", "[]"]


def test_more_paths_than_a_command_may_have_are_a_sentence_and_no_job(tmp_path: Path) -> None:
    jobs = Jobs(["--db", str(tmp_path / "library.sqlite3")])
    with pytest.raises(ReclassError, match="cannot be started"):
        jobs.start("apply", "--yes", operands=["x" * 10_000_000])
    assert jobs.current is None
    assert not jobs.stop()


def test_a_job_does_not_get_the_token_of_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    def refuse(*_: object, env: dict[str, str], **__: object) -> None:
        seen.append(env)
        raise OSError(7, "refused")

    monkeypatch.setenv("RECLASS_WEB_TOKEN", "a-token-of-tests")
    monkeypatch.setattr("subprocess.Popen", refuse)
    with pytest.raises(ReclassError):
        Jobs().start("status")
    assert "RECLASS_WEB_TOKEN" not in seen[0]
