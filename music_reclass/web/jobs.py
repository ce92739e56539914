"""Long work: one command of reclass at a time in a process of its own, with its progress for whoever looks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from music_reclass.errors import ReclassError

_KEPT = 200  # lines of the last job


class Busy(ReclassError):
    """Another job is at work."""


class Job:
    """One command: what it was asked, how far it is, what it said, how it ended."""

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number = number
        self.command = list(command)
        self.started = time.time()
        self.ended: float | None = None
        self.code: int | None = None
        self.phase, self.done, self.total, self.note = "", 0, 0, ""
        self.counts: dict[str, int] = {}
        self.messages: deque[str] = deque(maxlen=_KEPT)
        self.is_stopping = False

    def as_json(self) -> dict[str, Any]:
        """The job as plain values."""
        return {
            "id": self.number,
            "command": " ".join(word for word in self.command[:2] if not word.startswith("-")),
            "running": self.ended is None,
            "stopping": self.is_stopping and self.ended is None,
            "code": self.code,
            "started": self.started,
            "ended": self.ended,
            "phase": self.phase,
            "done": self.done,
            "total": self.total,
            "note": self.note,
            "counts": dict(self.counts),
            "messages": list(self.messages)[-20:],
        }


class Jobs:
    """The job at work, or the last one. It lives as long as the server, not as long as the page that started it."""

    def __init__(self, settings_flags: Sequence[str] = ()) -> None:
        self._flags = list(settings_flags)
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._process: subprocess.Popen[str] | None = None
        self._version = 0

    @property
    def current(self) -> Job | None:
        """The job at work, or the last one; None before the first."""
        return self._job

    @property
    def version(self) -> int:
        """A number that grows with every change of the job."""
        return self._version

    def start(self, *command: str, operands: Sequence[str] = ()) -> Job:
        """Run `reclass COMMAND --json -- OPERANDS`; Busy while another job is at work."""
        with self._lock:
            if self._job is not None and self._job.ended is None:
                raise Busy(f"The job reclass {self._job.command[0]} is at work; wait for its end, or stop it.")
            job = Job(1 if self._job is None else self._job.number + 1, [*command, *operands])
            line = [sys.executable, "-m", "music_reclass", *command, *self._flags, "--json", "--", *operands]
            environment = {**os.environ, "RECLASS_PROGRESS": "json", "PYTHONUNBUFFERED": "1"}
            environment.pop("RECLASS_WEB_TOKEN", None)  # what a job starts needs no key to the server
            try:
                self._process = subprocess.Popen(
                    line, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True, encoding="utf-8", errors="replace", start_new_session=True,
                )  # fmt: skip
            except OSError as error:  # more paths than a command may have, no memory, no processes left
                raise ReclassError(
                    f"The job reclass {command[0]} cannot be started ({error.strerror}); name fewer tracks or a folder."
                ) from error
            self._job = job
            self._version += 1
        readers = [
            threading.Thread(target=self._read, args=(job, self._process, name), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._wait, args=(job, self._process, readers), daemon=True).start()
        return job

    def stop(self) -> bool:
        """Ask the job to end in order, at once when asked again; whether one is at work."""
        with self._lock:
            job, process = self._job, self._process
            if job is None or process is None or job.ended is not None:
                return False
            job.is_stopping = True
            self._changed()
            process.send_signal(signal.SIGTERM)
            return True

    def close(self, patience: float = 30.0) -> None:
        """End the job with the server: in order, then not."""
        if self.stop() and self._process is not None:
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _changed(self) -> None:
        self._version += 1

    def _read(self, job: Job, process: subprocess.Popen[str], name: str) -> None:
        stream = getattr(process, name)
        for line in stream:
            with self._lock:
                self._take_in(job, line.rstrip("\n"), name)
                self._changed()

    @staticmethod
    def _take_in(job: Job, line: str, name: str) -> None:
        try:
            found = json.loads(line) if line.startswith("{") else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            if line:
                job.messages.append(line[:500])
        elif name == "stderr" and isinstance(progress := found.get("progress"), dict):
            job.phase, job.note = str(progress.get("phase", "")), str(progress.get("note", ""))
            job.done, job.total = int(progress.get("done") or 0), int(progress.get("total") or 0)
        elif name == "stdout":
            for key in ("outcome", "result"):
                if found.get(key):
                    job.counts[str(found[key])] = job.counts.get(str(found[key]), 0) + 1
            if found.get("written"):
                job.counts["written"] = job.counts.get("written", 0) + 1

    def _wait(self, job: Job, process: subprocess.Popen[str], readers: Sequence[threading.Thread]) -> None:
        code = process.wait()
        for reader in readers:
            reader.join(10)
        with self._lock:
            job.code, job.ended = code, time.time()
            self._changed()
