"""The one way a file is replaced: journal row, verified copy, a last look at the original, atomic replacement.

The file is read once, while it is copied, and the copy once, while it is verified.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from music_reclass.containers.edits import Edit, growth, inverse, pack, patched, unpack
from music_reclass.containers.sniff import PayloadReader
from music_reclass.containers.structure import Malformed, blocks, file_failure, opened, size_of
from music_reclass.errors import DatabaseError, FailTrack
from music_reclass.features.journal import Intention, Journal
from music_reclass.tagging.read import tag_errors
from music_reclass.tagging.rewrite import Prepared, Rewrite
from music_reclass.utils.files import lock_folder, mtime_ns

TEMPORARY_PREFIX, TEMPORARY_SUFFIX = ".reclass-", ".tmp"  # hidden, and no suffix of audio: scans pass it by
LOCK_SECONDS = 10.0  # another process has a folder for two system calls
READ_BUFFER = 1 << 16  # bytes: headers that lie close together are read at once

AfterStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How files are replaced."""

    preserve_mtime: bool = False  # a media server may then not notice the new genre
    detach_hard_links: bool = False  # write although the file's other names would keep the old content


@dataclass(slots=True)
class _Replacement:
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
    lock: int | None = None  # an open handle, while no other process may replace files of this folder


def replace_file(
    journal: Journal,
    run: int,
    path: Path,
    rewrite: Rewrite,
    *,
    options: WriteOptions = WriteOptions(),
    known: tuple[int, int] | None = None,
    after_step: AfterStep | None = None,
) -> int | None:
    """Change one file by `rewrite`, or leave it untouched; the change's number, None where it is as wanted already.

    A symlink's target is replaced, not the link. `known` is (size, mtime_ns) as the caller last saw the file.
    Killed between any two steps, the journal holds what `recover` needs to settle it. TrackError where the file cannot
    or must not be changed; DatabaseError where the journal cannot be written.
    """
    real = Path(os.path.realpath(path))
    work = _Replacement(journal, run, real, rewrite, options, known)
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
    finally:
        _unlock(work)
    return work.change


def _clean_up(work: _Replacement, why: str) -> None:
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


def _preflight(work: _Replacement) -> None:
    name, status = work.path.name, os.stat(work.path)
    work.status = status
    if not stat.S_ISREG(status.st_mode):
        raise FailTrack("io", f"{name} is not a regular file.")
    if work.known is not None and work.known != (status.st_size, mtime_ns(status)):
        raise FailTrack("changed", f"{name} has changed since it was scanned; scan it again.")
    if status.st_nlink > 1 and not work.options.detach_hard_links:
        raise FailTrack(
            "hard_link", f"{name} has {status.st_nlink} names (hard links); --detach-hard-links writes to this one."
        )
    # Root may write anywhere, but a file without any write bit was protected by somebody on purpose.
    if not status.st_mode & 0o222 or not os.access(work.path, os.W_OK):
        raise FailTrack("permission", f"{name} is read-only; chmod u+w lets it be written.")
    if not os.access(work.path.parent, os.W_OK | os.X_OK):
        raise FailTrack("permission", f"the folder of {name} is read-only.")
    if shutil.disk_usage(work.path.parent).free < 2 * status.st_size:
        raise FailTrack("no_space", f"there is no room for a copy of {name} beside it.")


def _examine(work: _Replacement) -> None:
    with _unchanged(work) as file, tag_errors(work.path):
        work.prepared = work.rewrite(file, work.path)


def _unchanged(work: _Replacement) -> BinaryIO:
    """The file, open for reading; FailTrack where it is no longer the one that was looked at first."""
    file = work.path.open("rb", buffering=READ_BUFFER)
    if _identity(os.fstat(file.fileno())) != _identity(work.status):
        file.close()
        raise FailTrack("changed", f"{work.path.name} is being changed by another program.")
    return file


def _plan(work: _Replacement) -> None:
    prepared = work.prepared
    name = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    temporary = work.path.with_name(name)
    # The digests become known while the file is copied; the row gets them before the file is replaced.
    intention = Intention(
        str(work.path), prepared.format, prepared.before, prepared.after, prepared.raw_before, str(temporary),
        payload=b"", sha_before=b"", mtime_before=mtime_ns(work.status), undoes=prepared.undoes,
        style=prepared.style,
    )  # fmt: skip
    work.change = work.journal.plan(work.run, intention)
    work.temporary = temporary


def _copy(work: _Replacement) -> None:
    assert work.temporary is not None
    handle = os.open(work.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as copy, _unchanged(work) as source:
        work.reverse = inverse(source, work.prepared.edits)
        work.sha_before, work.payload = _read_once(source, work.prepared.edits, copy.write)
        if copy.tell() != work.status.st_size + growth(work.prepared.edits):
            raise FailTrack("changed", f"{work.path.name} was changed while it was read.")
        if work.prepared.sha_before not in (None, work.sha_before):
            raise FailTrack("changed", f"{work.path.name} is not as it was left.")
        copy.flush()
        _dress(work, copy.fileno())
        os.fsync(copy.fileno())


def _read_once(file: BinaryIO, edits: Sequence[Edit], write: Callable[[bytes], object]) -> tuple[bytes, bytes]:
    """SHA-256 and payload digest of an open file, read once; `write` gets its bytes with `edits` applied."""
    sha, reader = hashlib.sha256(), PayloadReader(file)

    def hashed() -> Iterator[bytes]:
        for block in reader:
            sha.update(block)
            yield block

    for piece in patched(hashed(), edits):
        write(piece)
    return sha.digest(), reader.digest()


def _dress(work: _Replacement, copy: int) -> None:
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


def _verify(work: _Replacement) -> None:
    """The copy, read back, says what it should, sounds the same, and its reverse gives the original."""
    assert work.temporary is not None
    name = work.path.name
    with work.temporary.open("rb", buffering=READ_BUFFER) as copy:
        with tag_errors(work.path):
            work.prepared.check(copy)
        restored = hashlib.sha256()
        work.sha_after, payload = _read_once(copy, unpack(pack(work.reverse)), restored.update)
    if work.prepared.sha_after not in (None, work.sha_after):
        raise FailTrack("verify", f"{name}: the old bytes did not come back; left as it was.")
    if restored.digest() != work.sha_before:
        raise FailTrack("verify", f"{name} could not be restored afterwards; left as it was.")
    if payload != work.payload:
        raise FailTrack("verify", f"{name}: the sound would change; left as it was.")


def _stage(work: _Replacement) -> None:
    assert work.change is not None
    assert work.temporary is not None
    # What undoes a change is not itself undone: scan again instead.
    patch = pack(work.reverse) if work.prepared.undoes is None else None
    work.journal.stage(
        work.change, payload=work.payload, sha_before=work.sha_before, sha_after=work.sha_after,
        size_after=work.temporary.stat().st_size, patch=patch,
    )  # fmt: skip


def _look_again(work: _Replacement) -> None:
    """The last look and the replacement are one step for every other reclass on this machine, whatever its database."""
    try:
        work.lock = lock_folder(work.path.parent, LOCK_SECONDS)
    except BlockingIOError as error:
        raise FailTrack("changed", f"another program holds the folder of {work.path.name}; try again later.") from error
    with work.path.open("rb") as file:  # on a share, opening asks the server; a mere look may be answered from memory
        status = os.fstat(file.fileno())
    if _identity(status) != _identity(work.status):
        raise FailTrack("changed", f"{work.path.name} was changed by another program meanwhile; left as that made it.")


def _replace(work: _Replacement) -> None:
    assert work.temporary is not None
    os.replace(work.temporary, work.path)
    work.replaced = True
    _unlock(work)


def _unlock(work: _Replacement) -> None:
    handle, work.lock = work.lock, None
    if handle is not None:
        os.close(handle)


def _sync_folder(work: _Replacement) -> None:
    sync_folder(work.path.parent)


def _confirm(work: _Replacement) -> None:
    assert work.change is not None
    work.journal.confirm(work.change, mtime_ns(os.stat(work.path)))


STEPS: tuple[tuple[str, Callable[[_Replacement], None]], ...] = (
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


def digest_at(path: Path) -> bytes:
    """SHA-256 of a file; FailTrack where it cannot be read."""
    digest = hashlib.sha256()
    with opened(path) as file:
        for block in blocks(file, 0, size_of(file)):
            digest.update(block)
    return digest.digest()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the disk can."""
    with suppress(OSError):  # network shares and FUSE may refuse
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
