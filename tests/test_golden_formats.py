"""Digests of sound and reverse patches, which stored libraries rely on, are what they always were.

`RECLASS_GOLDEN=write pytest tests/test_golden*.py` makes the golden files anew (tests/golden/comparing.py).
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest

from music_reclass.containers.edits import Edit, inverse, pack, patched, unpack
from music_reclass.containers.sniff import payload_digest
from tests.golden.comparing import compare
from tests.golden.files import containers, library, put

EDITS = (Edit(0, 4, b"RIFF"), Edit(10, 10, b"in between"), Edit(300, 1300, b""), Edit(70000, 70001, bytes(200)))
PLAIN = bytes.fromhex("0004045249464606000a696e206265747765656ea202e80700dc980401c801") + bytes(200)
PACKED = b"RP1" + zlib.compress(PLAIN, 9)
STORED = bytes.fromhex("52503178da63606109f274736363e0cacc53484a2d294f4dcd5bc4f4829de1ce0c16c6138c0cc30400007a1108f6")
PROBE = bytes.fromhex("78da0b0a300c1a45c42100855e526d")  # what the zlib that made STORED makes of a text


def test_digests_of_sound_stay(tmp_path: Path) -> None:
    found = {}
    for name, files in (("library", library()), ("containers", containers())):
        put(tmp_path / name, files)
        found[name] = {file: payload_digest(tmp_path / name / file).hex() for file in files}
    compare("digests", found)


@pytest.mark.parametrize(
    ("bare", "tagged"),
    [
        ("mpeg", "mpeg with tags around"),
        ("wav", "wav with a tag"),
        ("wav", "rf64"),
        ("flac", "flac with comments"),
        ("mp4", "mp4 with a long mdat"),
    ],
)
def test_tags_do_not_count_in_a_digest(bare: str, tagged: str, tmp_path: Path) -> None:
    put(tmp_path, {name: containers()[name] for name in (bare, tagged)})
    assert payload_digest(tmp_path / bare) == payload_digest(tmp_path / tagged)


def test_a_patch_is_packed_into_the_same_bytes() -> None:
    """Compared before compression too, as builds of zlib may compress in other ways."""
    packed = pack(EDITS)
    assert packed[:3] == b"RP1"
    assert zlib.decompress(packed[3:]) == PLAIN
    assert packed == PACKED
    if zlib.compress(b"RP1" * 100, 9) == PROBE:
        assert packed == STORED


def test_a_patch_of_an_old_journal_is_understood() -> None:
    assert unpack(STORED) == EDITS
    source = io.BytesIO(bytes(range(256)) * 300)
    changed = b"".join(patched(source, EDITS))
    back = unpack(pack(inverse(source, EDITS)))
    assert b"".join(patched(io.BytesIO(changed), back)) == source.getvalue()
    assert back == (
        Edit(0, 4, bytes(range(4))),
        Edit(10, 20, b""),
        Edit(310, 310, (bytes(range(256)) * 6)[300:1300]),
        Edit(69010, 69210, bytes([70000 % 256])),
    )
