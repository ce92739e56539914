"""The one way a file is replaced: journal row, verified copy, a last look at the original, atomic replacement."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from music_reclass.containers.edits import Edit, inverse, pack, patched, unpack
from music_reclass.containers.sniff import payload_digest
from music_reclass.containers.structure import BLOCK, Malformed, file_failure, opened
from music_reclass.errors import DatabaseError, FailTrack
from music_reclass.features.journal import Intention, Journal
from music_reclass.tagging.read import tag_errors
from music_reclass.tagging.rewrite import Prepared, Rewrite

TEMPORARY_PREFIX, TEMPORARY_SUFFIX = ".reclass-", ".tmp"  # hidden, and no suffix of audio: scans pass it by


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How files are replaced."""

    preserve_mtime: bool = False  # a media server may then not notice the new genre
    detach_hard_links: bool = False  # write although the file's other names would keep the old content


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What was written, and how the file stands now."""

    change: int
    path: Path
    size: int
    mtime_ns: int


AfterStep = Callable[[str], None]


@dataclass(slots=True)
class _Work:
    """One replacement on its way through the steps."""

    journal: Journal
    run: int
    path: Path
    rewrite: Rewrite
    options: WriteOptions
    known: tuple[int, int] | None  # size and mtime_ns as the caller saw them
    status: os.stat_result = field(init=False)
    prepared: Prepared = field(init=False)
    payload: bytes = b""
    sha_before: bytes = b""
    sha_after: bytes = b""
    reverse: tuple[Edit, ...] = ()
    change: int | None = None
    temporary: Path | None = None
    replaced: bool = False
    result: WriteResult | None = None


def replace_file(
    journal: Journal,
    run: int,
    path: Path,
    rewrite: Rewrite,
    *,
    options: WriteOptions = WriteOptions(),
    known: tuple[int, int] | None = None,
    after_step: AfterStep | None = None,
) -> WriteResult | None:
    """Change one file by `rewrite`, or leave it untouched; None where it is as wanted already.

    A symlink's target is replaced, not the link. `known` is (size, mtime_ns) as the caller last saw the file.
    Killed between any two steps, the journal tells `recover` how to settle it. TrackError where the file cannot
    or must not be changed; DatabaseError where the journal cannot be written.
    """
    real = Path(os.path.realpath(path))
    work = _Work(journal, run, real, rewrite, options, known)
    try:
        for name, step in STEPS:
            step(work)
            if after_step is not None:
                after_step(name)
            if name == "examine" and not work.prepared.edits:
                return None
    except BaseException as error:
        _clean_up(work, str(error) or type(error).__name__)
        if isinstance(error, OSError):
            raise file_failure(error, real) from error
        if isinstance(error, Malformed):
            raise FailTrack("changed", f"{real.name} was changed while it was read ({error}).") from error
        raise
    return work.result


def _clean_up(work: _Work, why: str) -> None:
    """Leave nothing behind of an attempt that failed before the replacement; after it, `recover` settles the row.

    A signal may strike between the replacement and the note of it: then the finished copy is no longer there.
    """
    finished = bool(work.sha_after) and work.temporary is not None
    if work.replaced or (finished and work.temporary is not None and not os.path.lexists(work.temporary)):
        return
    if work.temporary is not None:
        with suppress(OSError):
            work.temporary.unlink()
    if work.change is not None:
        with suppress(DatabaseError):  # the row stays open, and is settled before the next command writes
            work.journal.abandon(work.change, why)


def _preflight(work: _Work) -> None:
    name, status = work.path.name, os.stat(work.path)
    work.status = status
    if not stat.S_ISREG(status.st_mode):
        raise FailTrack("io", f"{name} is not a regular file.")
    if work.known is not None and work.known != (status.st_size, status.st_mtime_ns):
        raise FailTrack("changed", f"{name} has changed since it was scanned; scan it again.")
    if status.st_nlink > 1 and not work.options.detach_hard_links:
        raise FailTrack(
            "hard_link", f"{name} has {status.st_nlink} names (hard links); --detach-hard-links writes to this one."
        )
    # Root may write anywhere, but a file without any write bit was protected by somebody on purpose.
    if not status.st_mode & 0o222 or not os.access(work.path, os.W_OK):
        raise FailTrack("permission", f"{name} is read-only.")
    if not os.access(work.path.parent, os.W_OK | os.X_OK):
        raise FailTrack("permission", f"the folder of {name} is read-only.")
    if shutil.disk_usage(work.path.parent).free < 2 * status.st_size:
        raise FailTrack("no_space", f"there is no room for a copy of {name} beside it.")


def _examine(work: _Work) -> None:
    with work.path.open("rb") as file:
        if _identity(os.fstat(file.fileno())) != _identity(work.status):
            raise FailTrack("changed", f"{work.path.name} is being changed by another program.")
        with tag_errors(work.path):
            work.prepared = work.rewrite(file, work.path)
        work.sha_before = digest_of(file)
    work.payload = payload_digest(work.path)


def _plan(work: _Work) -> None:
    prepared = work.prepared
    name = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    temporary = work.path.with_name(name)
    intention = Intention(
        str(work.path), prepared.format, prepared.before, prepared.after, prepared.raw_before, str(temporary),
        work.payload, work.sha_before, work.status.st_mtime_ns, prepared.undoes,
    )  # fmt: skip
    work.change = work.journal.plan(work.run, intention)
    work.temporary = temporary


def _copy(work: _Work) -> None:
    assert work.temporary is not None
    handle = os.open(work.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as copy, work.path.open("rb") as source:
        work.reverse = inverse(source, work.prepared.edits)
        for piece in patched(source, work.prepared.edits):
            copy.write(piece)
        copy.flush()
        _dress(work, copy.fileno())
        os.fsync(copy.fileno())


def _dress(work: _Work, copy: int) -> None:
    """Owner, mode, extended attributes and, where asked for, the modification time of the original."""
    if hasattr(os, "fchown"):
        with suppress(OSError):  # only root may give files away
            os.fchown(copy, work.status.st_uid, work.status.st_gid)
        os.fchmod(copy, stat.S_IMODE(work.status.st_mode))
    if hasattr(os, "listxattr"):
        with suppress(OSError):  # a disk without extended attributes
            for name in os.listxattr(work.path):
                with suppress(OSError):
                    os.setxattr(copy, name, os.getxattr(work.path, name))
    mtime = work.prepared.mtime_ns
    if mtime is None and work.options.preserve_mtime:
        mtime = work.status.st_mtime_ns
    if mtime is not None:
        os.utime(copy if os.utime in os.supports_fd else str(work.temporary), ns=(work.status.st_atime_ns, mtime))


def _verify(work: _Work) -> None:
    """The copy, read back, says what it should, sounds the same, and its reverse gives the original."""
    assert work.temporary is not None
    name = work.path.name
    with work.temporary.open("rb") as copy:
        work.sha_after = digest_of(copy)
        if work.prepared.sha_after not in (None, work.sha_after):
            raise FailTrack("verify", f"{name}: the old bytes did not come back; left as it was.")
        with tag_errors(work.path):
            work.prepared.check(copy)
        restored = hashlib.sha256()
        for piece in patched(copy, unpack(pack(work.reverse))):
            restored.update(piece)
    if restored.digest() != work.sha_before:
        raise FailTrack("verify", f"{name} could not be brought back afterwards; left as it was.")
    if payload_digest(work.temporary) != work.payload:
        raise FailTrack("verify", f"{name}: the sound would change; left as it was.")


def _stage(work: _Work) -> None:
    assert work.change is not None
    assert work.temporary is not None
    # What takes a change back is not itself taken back: scan again instead.
    patch = pack(work.reverse) if work.prepared.undoes is None else None
    work.journal.stage(work.change, work.sha_after, work.temporary.stat().st_size, patch)


def _look_again(work: _Work) -> None:
    if _identity(os.stat(work.path)) != _identity(work.status):
        raise FailTrack("changed", f"{work.path.name} was changed by another program meanwhile; left as that made it.")


def _replace(work: _Work) -> None:
    assert work.temporary is not None
    os.replace(work.temporary, work.path)
    work.replaced = True


def _sync_folder(work: _Work) -> None:
    sync_folder(work.path.parent)


def _confirm(work: _Work) -> None:
    assert work.change is not None
    status = os.stat(work.path)
    work.journal.confirm(work.change, status.st_mtime_ns)
    work.result = WriteResult(work.change, work.path, status.st_size, status.st_mtime_ns)


STEPS: tuple[tuple[str, Callable[[_Work], None]], ...] = (
    ("preflight", _preflight),
    ("examine", _examine),
    ("plan", _plan),
    ("copy", _copy),
    ("verify", _verify),
    ("stage", _stage),
    ("look again", _look_again),
    ("replace", _replace),
    ("sync folder", _sync_folder),
    ("confirm", _confirm),
)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    # The time of change sees new owners, modes and attributes too, which the copy would not have.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def digest_of(file: BinaryIO) -> bytes:
    """SHA-256 of an open file."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.digest()


def digest_at(path: Path) -> bytes:
    """SHA-256 of a file; FailTrack where it cannot be read."""
    with opened(path) as file:
        return digest_of(file)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the disk can."""
    with suppress(OSError):  # network shares and FUSE may refuse
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
