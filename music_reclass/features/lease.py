"""One writing run at a time: a lock beside the database that ends with the process, however it ends."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from music_reclass.errors import DatabaseError


@contextmanager
def writing_lease(database: Path, command: str) -> Iterator[None]:
    """Hold the lease for the block; DatabaseError names the holder if another process has it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    path = database.with_name(database.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DatabaseError(
            f"the library database {database} cannot be written ({error.strerror}); name another with --db."
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(handle, 200).decode("utf-8", "replace").strip() or "another process"
            raise DatabaseError(
                f"{holder} is using this library; wait for it to end, or name another with --db."
            ) from error
        os.ftruncate(handle, 0)
        with suppress(OSError):  # a full disk: the lock holds all the same, without a name in it
            os.write(handle, f"reclass {command} (process {os.getpid()} on {socket.gethostname()})".encode())
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)
