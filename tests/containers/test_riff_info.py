"""The INFO list of WAV files is read as people's programs wrote it."""

from __future__ import annotations

import io
import struct

from music_reclass.containers.riff import info_list, info_texts
from music_reclass.containers.sniff import sniff
from tests.tagging.samples import riff, sample


def with_info(entries: bytes) -> io.BytesIO:
    return io.BytesIO(riff(sample("wav") + b"LIST" + struct.pack("<I", len(entries) + 4) + b"INFO" + entries))


def test_texts_end_at_the_first_nul_in_either_coding() -> None:
    file = with_info(b"IART\x06\0\0\0\xc3\xa9a\0\0\0INAM\x02\0\0\0\xe9aIGNR\x04\0\0\0RockIGNR\x04\0\0\0Jazz")
    assert info_texts(file, sniff(file)) == {"IART": "éa", "INAM": "éa", "IGNR": "Rock"}


def test_other_lists_are_none() -> None:
    data = io.BytesIO(riff(sample("wav") + b"LIST\x04\0\0\0adtl"))
    assert info_list(data, sniff(data)) is None
    assert info_texts(data, sniff(data)) == {}
