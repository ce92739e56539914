"""APE tags: both counts, the order and the other items stay right, and what lies behind the tag stays."""

from __future__ import annotations

import io
import struct

import mutagen.apev2
import pytest

from music_reclass.containers.ape import Ape
from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import id3v1, sample

STREAM = sample("wavpack")


def item(key: bytes, value: bytes, flags: int = 0) -> bytes:
    return struct.pack("<II", len(value), flags) + key + b"\0" + value


def tag(*items: bytes, header: bool = True, version: int = 2000) -> bytes:
    body = b"".join(items)

    def mark(flags: int) -> bytes:
        flags |= 1 << 31 if header else 0
        return struct.pack("<8sIIII8x", b"APETAGEX", version, len(body) + 32, len(items), flags)

    return (mark(1 << 29) if header else b"") + body + mark(0)


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    container = Ape(file, sniff(file))
    raw = container.encode(genres) if genres else ()
    return b"".join(patched([data], tidy(file, container.splice(raw))))


COVER = item(b"Cover Art (Front)", b"cover.jpg\0\xff\xd8\xff", 2)


@pytest.mark.parametrize("header", [True, False])
def test_both_ends_of_the_tag_say_the_new_size(header: bool) -> None:
    data = STREAM + tag(item(b"Title", b"a"), item(b"GENRE", b"Other"), COVER, header=header)
    expected = tag(item(b"Title", b"a"), item(b"GENRE", b"Rock\0Jazz"), COVER, header=header)
    assert rewritten(data, "Rock", "Jazz") == STREAM + expected
    assert mutagen.apev2.APEv2(io.BytesIO(rewritten(data, "Rock")))["genre"] == "Rock"


def test_an_id3v1_tag_behind_stays_to_the_byte() -> None:
    behind = id3v1("A Title", "Somebody", 12)
    data = STREAM + tag(item(b"Title", b"a")) + behind
    assert rewritten(data, "Rock") == STREAM + tag(item(b"Title", b"a"), item(b"Genre", b"Rock")) + behind
    assert rewritten(STREAM + behind, "Rock") == STREAM + tag(item(b"Genre", b"Rock")) + behind


def test_a_tag_that_loses_its_last_item_goes() -> None:
    assert rewritten(STREAM + tag(item(b"Genre", b"Other"))) == STREAM
    assert rewritten(STREAM) == STREAM


@pytest.mark.parametrize(
    "damaged",
    [
        tag(struct.pack("<II", 1 << 30, 0) + b"Genre\0x"),
        tag(b"no key at all"),
    ],
)
def test_items_that_do_not_add_up_are_refused(damaged: bytes) -> None:
    with pytest.raises(Malformed):
        rewritten(STREAM + damaged, "Rock")
