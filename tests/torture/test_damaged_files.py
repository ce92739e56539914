"""Damaged files of every format: typed failures in bounded time and memory; what is written can be undone to the byte.

The long form (`--slow`) tries every damage of `damage.cases`, the short form a few of every kind.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType

import av
import pytest

from music_reclass.containers import FORMATS
from music_reclass.containers.sniff import payload_digest, sniff
from music_reclass.containers.structure import Malformed
from music_reclass.errors import FailTrack, TrackError
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.tagging.commit import replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_tags
from music_reclass.tagging.undo import RESTORED, undo
from tests.torture.damage import ALL, cases, suffix_of, whole

SEED = os.environ.get("RECLASS_SEED", "1")
SHORT = 3  # damages of each kind in the short form
CPU_SECONDS = 30  # of one file, a thousand times what it takes: it hangs
MEMORY = 192 << 20  # bytes that a damaged file of some 100 KB may take


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    journal = Journal(Database(tmp_path / "data" / "library.sqlite3"))
    journal.database.connection.execute("PRAGMA synchronous = OFF")  # what is tested here is not the disk
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    yield journal
    journal.database.close()


@contextmanager
def bounded(memory: int = MEMORY) -> Iterator[None]:
    """AssertionError for a block that hangs, or takes too much memory where the system tells (Linux)."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still at work after {CPU_SECONDS} s of the processor")

    before = signal.signal(signal.SIGVTALRM, hangs)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    start = _peak_memory(reset=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert _peak_memory() - start < memory


def _peak_memory(*, reset: bool = False) -> int:
    """The largest resident size of this process, since it was `reset` or in all; 0 where the system does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0
    return int(line.split()[1]) << 10


def packets(data: bytes) -> list[bytes] | None:
    """The packets of sound as FFmpeg finds them, which is none of our code; up to the first that it cannot read.

    None for an MP4 whose damaged index points at something else, which FFmpeg takes for sound then.
    """
    file, found = io.BytesIO(data), list[bytes]()
    layout = sniff(file)
    sound = [(0, len(data))]
    if layout.container == "mp4":
        with suppress(Malformed):
            sound = [one for one in FORMATS["mp4"](file, layout).payload() if isinstance(one, tuple)]
    try:
        with av.open(io.BytesIO(data), metadata_errors="replace") as container:
            for packet in container.demux(container.streams.audio[0]):
                start, end = packet.pos or 0, (packet.pos or 0) + packet.size
                if not any(first <= start and end <= last for first, last in sound):
                    return None
                found += [hashlib.sha1(bytes(packet)).digest()] * bool(packet.size)
    except (av.FFmpegError, IndexError, ValueError):
        pass
    return found


def tortured(journal: Journal, path: Path, data: bytes) -> str:
    """Read, write and undo one file; what became of it."""
    path.write_bytes(data)
    digest = payload_digest(path)
    with path.open("rb") as file:
        sniff(file)
    try:
        read_tags(path)
    except TrackError as error:
        assert_not_ours(error)
    run = journal.begin_run("apply", {})
    try:
        change = replace_file(journal, run, path, write_tags(["Rock", "Jazz"], "Punk"))
    except TrackError as error:
        assert_not_ours(error)
        assert path.read_bytes() == data
        assert os.listdir(path.parent) == [path.name]
        return error.reason
    assert change is not None
    assert read_tags(path).genres == ("Rock", "Jazz")
    assert payload_digest(path) == digest
    before, after = packets(data), packets(path.read_bytes())
    if before is not None and after is not None:  # FFmpeg takes tags behind the last packet for a part of it
        assert after[: max(len(before) - 2, 0)] == before[:-2]
    report = undo(journal, run)
    assert (report.counts[RESTORED], report.problems) == (1, [])
    assert path.read_bytes() == data
    assert os.listdir(path.parent) == [path.name]
    return "written"


def assert_not_ours(error: BaseException) -> None:
    """A failure of the reason `bug` came out of the tag library, not out of our own reading of containers."""
    cause = error.__cause__
    if not isinstance(error, FailTrack) or error.reason != "bug" or cause is None:
        return
    last: TracebackType | None = cause.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    assert last is None or "music_reclass" not in last.tb_frame.f_code.co_filename, repr(cause)


def try_all(
    journal: Journal, folder: Path, kind: str, choose: Callable[[list[tuple[str, bytes]]], list]
) -> Counter[str]:
    """Torture files of one kind; how many ended in which way."""
    if not whole(kind):
        pytest.skip(f"FFmpeg here cannot make {kind}")
    folder.mkdir(exist_ok=True)
    ends: Counter[str] = Counter()
    for what, data in choose(list(cases(kind, random.Random(f"{SEED} {kind}")))):
        try:
            with bounded():
                ends[tortured(journal, folder / f"tune{suffix_of(kind)}", data)] += 1
        except BaseException as error:
            print(f"RECLASS_SEED={SEED}, {kind}: {what}: {error!r}", flush=True)
            raise
    return ends


@pytest.mark.parametrize("kind", ALL)
def test_a_damaged_file_is_refused_or_written_and_undone(kind: str, journal: Journal, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} short {kind}")
    try_all(journal, tmp_path / "music", kind, lambda all_cases: all_cases[:1] + chance.sample(all_cases, SHORT))


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", ALL)
def test_every_damage_is_refused_or_written_and_undone(kind: str, journal: Journal, tmp_path: Path) -> None:
    ends = try_all(journal, tmp_path / "music", kind, lambda all_cases: all_cases)
    print(f"{kind}: {sum(ends.values())} damages, {dict(ends)}", flush=True)
    assert ends["written"]
