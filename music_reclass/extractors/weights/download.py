"""Fetching one large file over HTTPS: it resumes where it broke off, and counts only if its digest is right."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from music_reclass import __version__
from music_reclass.errors import ReclassError, ServerError
from music_reclass.extractors.weights.catalogue import RemoteFile

_BLOCK = 1 << 20
_TIMEOUT = 60.0
_ATTEMPTS = 4

Progress = Callable[[int], None]  # is told how many more bytes have come


def fetch(file: RemoteFile, folder: Path, progress: Progress, pause: Callable[[float], None] = time.sleep) -> Path:
    """The file in `folder`; what an earlier attempt left as `NAME.part` is continued, not fetched again.

    Raises ServerError, after four attempts where that may help; what has come by then stays for the next time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.name
    if target.is_file():
        progress(target.stat().st_size)
        return target
    part = folder / f"{file.name}.part"
    _check_room(folder, file.size - _size(part))
    problem: Exception | None = None
    progress(_size(part))
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause(2.0**attempt)
        try:
            _continue(file.url, part, progress)
            os.replace(part, target)
            return target
        except urllib.error.HTTPError as error:
            problem = error
            if error.code in (404, 410):
                raise ServerError(f"{file.url} does not exist any more.") from error
            if error.code in (401, 403):
                raise ServerError(f"{file.url} needs permission ({error.code}): set HF_TOKEN to your token.") from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            problem = error
            if isinstance(getattr(error, "reason", None), socket.gaierror):
                break  # no network at all: waiting a few seconds does not help
    raise ServerError(
        f"{file.url} could not be fetched ({_words(problem)}); the same command continues later, and "
        "reclass models install takes a file that came another way."
    ) from problem


def _continue(url: str, part: Path, progress: Progress) -> None:
    """Append to `part` what is missing, or begin anew where the server's file has changed or it cannot resume."""
    mark = part.with_name(f"{part.name}.etag")
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": f"reclass/{__version__}"})
    if (token := os.environ.get("HF_TOKEN")) and url.startswith("https://huggingface.co/"):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    known = mark.read_text() if have and mark.is_file() else ""
    if known:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", known)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            resumed = answer.status == 206 and _first_byte(answer.headers) == have
            if not resumed and have:
                progress(-have)
            if etag := answer.headers.get("ETag", ""):
                mark.write_text(etag)
            _copy(answer, part, resumed, progress)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing lies behind what is there: it is whole
            raise
    mark.unlink(missing_ok=True)


def _copy(answer: Any, part: Path, resumed: bool, progress: Progress) -> None:
    announced = answer.headers.get("Content-Length")
    came = 0
    with part.open("ab" if resumed else "wb") as out:
        while block := answer.read(_BLOCK):
            out.write(block)
            came += len(block)
            progress(len(block))
        out.flush()
        os.fsync(out.fileno())
    if announced is not None and came < int(announced):
        raise ConnectionError("the connection broke off")


def _first_byte(headers: Any) -> int:
    """Where a partial answer begins: `bytes 100-199/200` begins at 100; -1 where that is not said."""
    span = str(headers.get("Content-Range", "")).removeprefix("bytes ").split("-")[0]
    return int(span) if span.isdigit() else -1


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_room(folder: Path, missing: int) -> None:
    """ReclassError unless the disk holds the download and its converted copy."""
    free, wanted = shutil.disk_usage(folder).free, 2 * missing
    if free < wanted:
        raise ReclassError(f"{folder} has {free / 1e9:.1f} GB free, and {wanted / 1e9:.1f} GB are needed for a while.")


def _words(problem: Exception | None) -> str:
    reason = getattr(problem, "reason", None)
    return str(reason or problem or type(problem).__name__)
