"""Runs `reclass` as a process that kills itself at one of its system calls or database statements, for tests only.

Usage: python dying.py MOMENT HANDLE WORD...

MOMENT is `none`, or `before N` or `after N` with a space: kill -9 right before or after the Nth event. Events are the
calls in EVENTS, each statement of the database, and each request and answer of a server. A line with the seconds of
the clock goes to the file descriptor HANDLE at the first event, so that a parent can kill at random times from there
on; at an orderly end another line has the number of events and the seconds since the first.
"""

from __future__ import annotations

import http.client
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

EVENTS = ("open", "fsync", "replace", "rename", "unlink", "remove", "utime", "fchmod", "ftruncate", "mkdir")
SETTLING = ("open", "mkdir")  # called by imports as well: these do not start the clock


class Moment:
    """Counts events and dies at the chosen one."""

    def __init__(self, words: str, handle: int) -> None:
        side, _, number = words.partition(" ")
        self.side, self.number = side, int(number or 0)
        self.handle, self.count, self.started = handle, 0, 0.0

    def wrap(self, real: Callable[..., Any], *, starts: bool = True) -> Callable[..., Any]:
        """`real` as an event."""

        def event(*arguments: Any, **more: Any) -> Any:
            if os.getpid() != PROCESS or not (starts or self.started):
                return real(*arguments, **more)
            if not self.started:
                self.started = time.monotonic()
                os.write(self.handle, b"started\n")
            self.count += 1
            due = self.count == self.number
            if due and self.side == "before":
                os.kill(PROCESS, signal.SIGKILL)
            result = real(*arguments, **more)
            if due:
                os.kill(PROCESS, signal.SIGKILL)
            return result

        return event

    def patch(self) -> None:
        """Make events of all that is to be one."""
        for name in EVENTS:
            setattr(os, name, self.wrap(getattr(os, name), starts=name not in SETTLING))
        connect, wrap = sqlite3.connect, self.wrap

        def connected(*arguments: Any, factory: type[sqlite3.Connection] = sqlite3.Connection, **more: Any) -> Any:
            names = ("execute", "executemany", "backup")
            patched = type("Dying", (factory,), {name: wrap(getattr(factory, name)) for name in names})
            return connect(*arguments, factory=patched, **more)

        sqlite3.connect = connected  # type: ignore[assignment]
        for name in ("send", "getresponse"):
            setattr(http.client.HTTPConnection, name, self.wrap(getattr(http.client.HTTPConnection, name)))

    def end(self) -> None:
        """Tell the parent how many events there were."""
        os.write(self.handle, f"{self.count} {time.monotonic() - self.started if self.started else 0.0}\n".encode())


PROCESS = os.getpid()

if __name__ == "__main__":
    from music_reclass.cli.main import run

    moment = Moment(sys.argv[1], int(sys.argv[2]))
    moment.patch()
    try:
        code = run(sys.argv[3:])
    finally:
        moment.end()
    sys.exit(code)
