"""Silence for decoders: libsndfile and mpg123 complain on file descriptor 2, past Python, and nobody can read it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_depth = 0
_saved = -1


def quiet_decoders() -> None:
    """Send this process's descriptor 2 to nowhere for good, but keep `sys.stderr` where it was. For workers."""
    global _depth
    with _lock:
        _depth += 1
        if _depth > 1:
            return
        _redirect()
        if _saved < 0:
            return
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(_saved), "w", buffering=1, encoding="utf-8", errors="backslashreplace")


@contextmanager
def quiet() -> Iterator[None]:
    """Send descriptor 2 to nowhere inside the block; blocks may nest and overlap in threads."""
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _redirect()
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and _saved >= 0:
                os.dup2(_saved, 2)
                os.close(_saved)


def _redirect() -> None:
    global _saved
    try:
        _saved = os.dup(2)
    except OSError:  # a daemon without descriptor 2 is silent already
        _saved = -1
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
