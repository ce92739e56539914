"""Counts and sizes that no program writes: a hundred megabytes of tag, a million entries, atoms a thousand deep.

Each file is sniffed, digested, read, written and undone within bounds, or refused by a typed error and left alone. The
long form (`--slow`) has the large ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from music_reclass.containers.mp4 import make
from music_reclass.features.journal import Journal
from tests.tagging.samples import sample, tagged, without_id3
from tests.torture import test_damaged_files
from tests.torture.damage import frame, head
from tests.torture.test_damaged_files import bounded, journal, tortured

__all__ = ["journal"]

LARGE = 100 << 20  # bytes
REFUSED, WRITTEN = 400 << 20, 1600 << 20  # bytes that a large file may take


def mp3(*frames: bytes, padding: int = 0) -> bytes:
    """An MP3 file with these frames, a genre and padding."""
    return head(4, 0, frame(b"TCON", b"\x03Other") + b"".join(frames) + bytes(padding)) + without_id3(sample("mp3"))


def comments(count: int, *, said: int | None = None) -> bytes:
    """The body of a Vorbis comment of so many entries."""
    entry = struct.pack("<I", 3) + b"A=b"
    return struct.pack("<I", 0) + struct.pack("<I", count if said is None else said) + entry * count


def flac(*blocks: tuple[int, bytes], copies: int = 1) -> bytes:
    """A FLAC file with these metadata blocks behind its first one, so many times."""
    plain = sample("flac")
    at, last = 4, False
    while not last:
        last = bool(plain[at] & 0x80)
        at += 4 + int.from_bytes(plain[at + 1 : at + 4], "big")
    middle = b"".join(bytes([kind]) + len(body).to_bytes(3, "big") + body for kind, body in blocks) * copies
    return plain[:4] + b"\0" + plain[5:42] + middle + bytes([0x81, 0, 0, 0]) + plain[at:]


def ape(count: int, *, said: int | None = None) -> bytes:
    """A WavPack file whose APE tag has so many items."""
    items = b"".join(struct.pack("<II", 1, 0) + b"K%07d\0v" % number for number in range(count))
    said = count if said is None else said
    mark = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(items) + 32, said, 0)
    plain = sample("wavpack")
    return plain + items + mark


def mp4(more: bytes) -> bytes:
    """An M4A file with more atoms behind all others."""
    return tagged("aac tight") + more


def nested(depth: int, name: bytes = b"moov") -> bytes:
    """Atoms within atoms."""
    return b"".join(struct.pack(">I", 8 * (depth - level)) + name for level in range(depth))


def riff(count: int) -> bytes:
    """A WAV file with so many empty chunks."""
    data = tagged("wav info") + b"junk\0\0\0\0" * count
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def aiff(count: int) -> bytes:
    """An AIFF file with so many empty chunks."""
    data = tagged("aiff") + b"junk\0\0\0\0" * count
    return data[:4] + struct.pack(">I", len(data) - 8) + data[8:]


# Suffix, how it is made, its number in the short form and in the long one.
CASES: dict[str, tuple[str, Callable[[int], bytes], int, int]] = {
    "private frame": (".mp3", lambda size: mp3(frame(b"PRIV", b"x\0" + bytes(size))), LARGE // 100, LARGE),
    "picture": (".mp3", lambda size: mp3(frame(b"APIC", b"\0image/png\0\3\0" + b"\x7f" * size)), LARGE // 100, LARGE),
    "padding": (".mp3", lambda size: mp3(padding=size), LARGE // 100, LARGE),
    "tiny frames": (".mp3", lambda size: mp3(frame(b"TIT2", b"\x03") * (size // 11)), LARGE // 100, LARGE),
    "tiny unknown frames": (".mp3", lambda size: mp3(frame(b"XABC", b"\x03") * (size // 11)), LARGE // 100, LARGE),
    "flac blocks": (".flac", lambda count: flac((2, b""), copies=count), 101_000, 2_000_000),
    "flac paddings": (".flac", lambda count: flac((1, b""), copies=count), 101_000, 2_000_000),
    "flac comment blocks": (".flac", lambda count: flac((4, comments(0)), copies=count), 1_000, 100_000),
    "flac comments": (".flac", lambda count: flac((4, comments(count))), 101_000, 1_000_000),
    "flac comments said": (".flac", lambda count: flac((4, comments(3, said=count))), 1_000_000, 0xFFFFFFFF),
    "ape items": (".wv", ape, 101_000, 1_000_000),
    "ape items said": (".wv", lambda count: ape(3, said=count), 1_000_000, 0xFFFFFFFF),
    "mp4 atoms": (".m4a", lambda count: mp4(make(b"junk", b"") * count), 101_000, 1_000_000),
    "mp4 free atoms": (".m4a", lambda count: mp4(make(b"free", b"") * count), 101_000, 1_000_000),
    "mp4 sounds": (".m4a", lambda count: mp4(make(b"mdat", b"") * count), 101_000, 1_000_000),
    "mp4 in meta": (
        ".m4a",
        lambda count: mp4(make(b"meta", bytes(4) + make(b"junk", b"") * count)),
        101_000,
        1_000_000,
    ),
    "mp4 in moof": (".m4a", lambda count: mp4(make(b"moof", make(b"traf", b"") * count)), 101_000, 1_000_000),
    "mp4 deep": (".m4a", lambda depth: mp4(nested(depth, b"moof")), 1_500, 1_000_000),
    "wav chunks": (".wav", riff, 101_000, 1_000_000),
    "aiff chunks": (".aiff", aiff, 101_000, 1_000_000),
}

WRITABLE = ("private frame", "picture", "padding")


@pytest.mark.parametrize("name", CASES)
def test_hostile_counts_are_refused_or_written_and_undone(name: str, journal: Journal, tmp_path: Path) -> None:
    suffix, made, count, _ = CASES[name]
    (tmp_path / "music").mkdir()
    data = made(count)
    with bounded():
        assert tortured(journal, tmp_path / "music" / f"tune{suffix}", data) in ("tags", "written")


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", CASES)
def test_large_hostile_counts_are_refused_or_written_and_undone(
    name: str, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, made, _, count = CASES[name]
    monkeypatch.setattr(test_damaged_files, "packets", lambda data: None)  # FFmpeg writes every byte of a tag as text
    (tmp_path / "music").mkdir()
    data = made(count)
    with bounded(WRITTEN if name in WRITABLE else REFUSED):
        end = tortured(journal, tmp_path / "music" / f"tune{suffix}", data)
    print(f"{name}: {len(data) >> 20} MB: {end}", flush=True)
    assert end == ("written" if name in WRITABLE else "tags")
