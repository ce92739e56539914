"""Finds audio files below folders without opening them; network mounts; locks that other processes see."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import queue
import re
import stat
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from music_reclass.domain import Track

Item = TypeVar("Item")
Globs = tuple[str, Sequence[str]]  # a folder, and globs that may be relative to it

AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        "mp3 mp2 flac ogg oga opus spx m4a m4b m4p mp4 aac 3gp 3g2 wav wave rf64 w64 bwf aif aiff aifc au snd caf "
        "wma asf wv ape tta tak mpc mp+ mpp ofr ofs mka webm weba dsf dff ac3 eac3 dts shn"
    ).split()
)
IGNORED_FOLDERS = frozenset(
    {"@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
)
IGNORE_FILES = (".reclassignore", ".plexignore")
MOST_GLOBS = 10_000  # of an ignore file: every name is compared with each
LONGEST_GLOB = 1000  # characters
LARGEST_IGNORE_FILE = 2**20  # bytes
AHEAD = 8  # files that are read ahead of the workers on a slow disk
NETWORK_TYPES = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "afs",
        "ceph",
        "glusterfs",
        "fuse.sshfs",
        "fuse.rclone",
        "9p",
        "afpfs",
    }
)


MOUNTS = Path("/proc/self/mounts")
# Shares into virtual machines and containers, and all of FUSE: what others change there gives no event here.
_SILENT_TYPES = NETWORK_TYPES | {
    "smb", "ncpfs", "lustre", "beegfs", "fuse", "vboxsf", "virtiofs", "vmhgfs", "prl_fs", "drvfs", "fakeowner"
}  # fmt: skip


def mount_table(mounts: Path = MOUNTS) -> dict[str, tuple[str, str]]:
    """The kind of file system and the device at each mount point, those on top; none where the system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return {}
    rows = (line.split(" ") for line in lines)
    return {
        row[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"): (row[2], row[0])
        for row in rows
        if len(row) >= 3
    }


def mount_of(path: Path, mounts: Path = MOUNTS) -> tuple[str, str, str]:
    """Where the disk of `path` is mounted, its kind of file system, and its device; each "" where the system does not
    say."""
    table, target = mount_table(mounts), os.path.realpath(path)
    points = [point for point in table if target == point or target.startswith(point.rstrip("/") + "/")]
    best = max(points, key=len, default="")
    return best, *table.get(best, ("", ""))


MOST_NS = 2**63 - 1  # what a database holds: the year 2262


def mtime_ns(status: os.stat_result) -> int:
    """The modification time; the last that a database can hold for files from beyond that."""
    return max(-MOST_NS, min(status.st_mtime_ns, MOST_NS))


def is_network_mount(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether `path` lies on a network share; False where the system does not say (no /proc)."""
    return mount_of(path, mounts)[1] in NETWORK_TYPES


def silent_places(root: str, mounts: Path = MOUNTS) -> dict[str, str]:
    """Where the system may not report what changes at or below `root`, with the kind of file system: `root` itself, or
    the mount points below it."""

    def is_silent(kind: str) -> bool:
        return kind in _SILENT_TYPES or kind.startswith("fuse.")

    real = os.path.realpath(root)
    kind = mount_of(Path(real), mounts)[1]
    if is_silent(kind):
        return {real: kind}
    below = real.rstrip("/") + "/"
    inner = {point: kind for point, (kind, _) in mount_table(mounts).items() if point.startswith(below)}
    return {point: kind for point, kind in inner.items() if is_silent(kind)}


def parallel_reads(folder: str, mounts: Path = MOUNTS, disks: Path = Path("/sys/dev/block")) -> int:
    """How many files of a folder are best read ahead at once: one where its disk rotates, some where each waits for a
    network; none where reading ahead gains nothing, or nobody knows."""
    _, kind, source = mount_of(Path(folder), mounts)
    if kind in NETWORK_TYPES:
        return 4
    try:
        is_device = source.startswith("/dev/") and os.path.exists(source)  # with btrfs the only trace of the disk
        device = os.stat(source).st_rdev if is_device else os.stat(folder).st_dev
        disk = (disks / f"{os.major(device)}:{os.minor(device)}").resolve()
        of_disk = next(path for path in (disk / "queue", disk.parent / "queue") if path.is_dir())  # or of a partition
        return int((of_disk / "rotational").read_text())
    except (OSError, ValueError, StopIteration, AttributeError):
        return 0


def read_ahead(
    items: Iterable[Item], path_of: Callable[[Item], str], parallel: Callable[[str], int] = parallel_reads
) -> Iterator[Item]:
    """The same items, while threads read the files of the next few into the page cache, where their disk is slow.

    They read rather than advise: of advice the kernel heeds only the first part of a large file.
    """
    known = lru_cache(maxsize=256)(parallel)
    paths: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threads = 0
    ahead: deque[Item] = deque()
    try:
        for item in items:
            path = path_of(item)
            wanted = known(os.path.dirname(path))
            while threads < wanted:
                threading.Thread(target=_read_in, args=(paths,), name="read ahead", daemon=True).start()
                threads += 1
            if wanted:
                paths.put(path)
            ahead.append(item)
            if not wanted or len(ahead) > AHEAD:
                yield ahead.popleft()
        yield from ahead
    finally:
        for _ in range(threads):
            paths.put(None)


def _read_in(paths: queue.SimpleQueue[str | None]) -> None:
    """Read each file once, or its first 64 MB, until there is a None instead of one."""
    block = bytearray(2**20)
    while (path := paths.get()) is not None:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
            with open(descriptor, "rb", buffering=0) as file:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    any(not file.readinto(block) for _ in range(64))


LOCK_AT = 1 << 30  # Windows locks bytes and lets nobody read them: one far behind what the file holds
POLL_SECONDS = 0.005


def lock(handle: int) -> None:
    """Lock an open file, on POSIX also a folder, until it is closed or the process ends.

    BlockingIOError while another process has it, another OSError where its disk knows no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, LOCK_AT, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, "another process has locked it") from error
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_folder(folder: Path, seconds: float) -> int | None:
    """The handle that locks a folder against other processes on this machine until it is closed; None where that is
    not possible. BlockingIOError where another process has it for `seconds`.

    The folder itself is locked, not a file in it: nothing is left behind, and on a share no file is held open.
    """
    try:
        if sys.platform == "win32":  # which opens no folders
            name = hashlib.sha1(os.path.normcase(os.path.realpath(folder)).encode(), usedforsecurity=False).hexdigest()
            handle = os.open(Path(tempfile.gettempdir(), f"reclass-{name}.lock"), os.O_RDWR | os.O_CREAT)
        else:
            handle = os.open(folder, os.O_RDONLY)
    except OSError:  # one may write to a folder that one may not read
        return None
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                lock(handle)
                return handle
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(POLL_SECONDS)
    except BaseException as error:
        os.close(handle)
        if isinstance(error, OSError) and not isinstance(error, BlockingIOError):
            return None
        raise


def walk(
    roots: Sequence[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    only: Collection[str] = (),
    on_error: Callable[[str, OSError], None] = lambda path, error: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Track]:
    """Every audio candidate below `roots`, sorted within its folder: absolute path (bytes that are not UTF-8 as
    surrogates), size and modification time. A root that is a file is always one.

    `include` and `exclude` are globs on the file name, the whole path, or the path below its root. With `only`, real
    paths of folders, only files that lie in these very folders, and no other folder but those above them is opened.
    Unreadable folders go to `on_error`. Once `stop` is true the walk ends.
    """
    visited: set[tuple[int, int]] = set()
    above = {parent for folder in only for parent in _parents(folder)}

    def is_entered(folder: str) -> bool:
        return not only or folder in only or folder in above

    for root in roots:
        real = os.path.realpath(root)
        try:
            status = os.stat(real)
        except OSError as error:
            on_error(root, error)
            continue
        if stat.S_ISDIR(status.st_mode):
            wanted = _filter(real, include, exclude, only)
            yield from _folder(real, wanted, on_error, visited, stop=stop, is_entered=is_entered)
        else:
            yield Track(real, status.st_size, mtime_ns(status))


def _parents(folder: str) -> Iterator[str]:
    while folder != (folder := os.path.dirname(folder)):
        yield folder


def _filter(
    root: str, include: Sequence[str], exclude: Sequence[str], only: Collection[str]
) -> Callable[[os.DirEntry[str]], bool]:
    """Whether a file below `root` is audio and wanted."""

    def wanted(entry: os.DirEntry[str]) -> bool:
        if only and os.path.dirname(entry.path) not in only:
            return False
        if os.path.splitext(entry.name)[1].lower() not in AUDIO_SUFFIXES or _matches(entry, [(root, exclude)]):
            return False
        return not include or _matches(entry, [(root, include)])

    return wanted


def _folder(
    top: str,
    wanted: Callable[[os.DirEntry[str]], bool],
    on_error: Callable[[str, OSError], None],
    visited: set[tuple[int, int]],
    *,
    stop: Callable[[], bool],
    is_entered: Callable[[str], bool],
) -> Iterator[Track]:
    pending: list[tuple[str, tuple[Globs, ...]]] = [(top, ())]
    while pending:
        if stop():
            return
        folder, inherited = pending.pop()
        if not is_entered(folder):
            continue
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
            globs = list(_ignore_patterns(folder, {entry.name for entry in entries}))
            ignore = (*inherited, (folder, globs)) if globs else inherited
        except OSError as error:
            on_error(folder, error)
            continue
        below: list[tuple[str, tuple[Globs, ...]]] = []
        for entry in entries:
            if stop():
                return
            if entry.name.startswith(".") or _matches(entry, ignore):
                continue
            try:
                if entry.is_dir():
                    if entry.name not in IGNORED_FOLDERS:
                        path = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                        below.append((path, ignore))
                elif wanted(entry) and entry.is_file():
                    status = entry.stat()
                    path = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                    yield Track(path, status.st_size, mtime_ns(status))
            except OSError as error:
                on_error(entry.path, error)
        pending.extend(reversed(below))


def _matches(entry: os.DirEntry[str], patterns: Sequence[Globs]) -> bool:
    """Whether a glob fits the name, the whole path, or the path below the folder that the glob belongs to."""
    for folder, globs in patterns:
        names = {entry.name, entry.path}
        prefix = folder.rstrip("/") + "/"
        if entry.path.startswith(prefix):
            names.add(entry.path[len(prefix) :])
        if any(matches(name) for matches in map(_matcher, globs) for name in names):
            return True
    return False


@lru_cache(maxsize=2 * MOST_GLOBS)  # that of fnmatch holds 256 on Python 3.10
def _matcher(glob: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(translate(os.path.normcase(glob.removeprefix("./")))).match


def _ignore_patterns(folder: str, names: set[str]) -> Iterator[str]:
    """The globs of the folder's ignore files; an empty ignore file leaves the whole folder out."""
    for name in IGNORE_FILES:
        if name not in names:
            continue
        lines = [line.strip() for line in _ignore_text(os.path.join(folder, name)).splitlines()]
        globs = [line.rstrip("/") for line in lines if line and not line.startswith("#")]
        if len(globs) > MOST_GLOBS or any(len(glob) > LONGEST_GLOB for glob in globs):
            most = f"more than {MOST_GLOBS:,} globs or one of more than {LONGEST_GLOB:,} characters"
            raise OSError(errno.EINVAL, f"its {name} holds {most}, so the folder is left out")
        yield from globs or ["*"]


def _ignore_text(path: str) -> str:
    """The text of an ignore file; OSError where it is none of a sane size: a pipe or a device would never end."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            content = file.read(LARGEST_IGNORE_FILE + 1)
            if len(content) <= LARGEST_IGNORE_FILE:
                return content.decode("utf-8", "replace")
    name = os.path.basename(path)
    raise OSError(errno.EINVAL, f"its {name} is no plain file of at most 1 MB, so the folder is left out")
