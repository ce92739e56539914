"""Track at an offset keeps to what is there, and refusals of the system are typed."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest

from music_reclass.containers.structure import BLOCK, Malformed, blocks, file_failure, opened, peek, read_at, size_of
from music_reclass.errors import FailTrack

FILE = io.BytesIO(b"0123456789")


def test_read_at_gives_all_or_nothing() -> None:
    assert read_at(FILE, 3, 4) == b"3456"
    with pytest.raises(Malformed, match="4 bytes were announced at 8"):
        read_at(FILE, 8, 4)


def test_peek_gives_what_is_there() -> None:
    assert (peek(FILE, 8, 4), peek(FILE, -3, 4), peek(FILE, 99, 4)) == (b"89", b"", b"")


def test_blocks_are_bounded_and_complete() -> None:
    data = bytes(range(256)) * (BLOCK // 100)
    found = list(blocks(io.BytesIO(data), 5, len(data) - 5))
    assert b"".join(found) == data[5:-5]
    assert max(map(len, found)) <= BLOCK
    with pytest.raises(Malformed):
        list(blocks(FILE, 5, 11))
    assert size_of(FILE) == 10


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOENT, "vanished"),
        (errno.EACCES, "permission"),
        (errno.EROFS, "permission"),
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
        (errno.EIO, "io"),
    ],
)
def test_each_refusal_has_its_reason(number: int, reason: str) -> None:
    failure = file_failure(OSError(number, "because"), Path("/music/tune.mp3"))
    assert failure.reason == reason
    assert "tune.mp3" in failure.detail


def test_a_folder_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(FailTrack), opened(tmp_path):
        pass
