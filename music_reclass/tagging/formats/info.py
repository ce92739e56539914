"""The INFO list of a WAV file, where readers that know no ID3 in WAV look."""

from __future__ import annotations

from typing import BinaryIO

from music_reclass.utils.payload import Layout
from music_reclass.utils.payload.chunks import Chunk, chunks
from music_reclass.utils.payload.reading import read_at


def info_list(file: BinaryIO, layout: Layout) -> tuple[Chunk, list[Chunk]] | None:
    """The `LIST` chunk of kind `INFO` and the entries in it; None without one."""
    for chunk in chunks(file, layout.start + 12, layout.end, "little"):
        if chunk.name == b"LIST" and read_at(file, chunk.body, min(4, chunk.end - chunk.body)) == b"INFO":
            return chunk, list(chunks(file, chunk.body + 4, chunk.end, "little"))
    return None


def info_texts(file: BinaryIO, layout: Layout) -> dict[str, str]:
    """The texts of the INFO list by name, the first where one name stands twice."""
    found = info_list(file, layout)
    texts: dict[str, str] = {}
    for chunk in found[1] if found else ():
        data = read_at(file, chunk.body, chunk.end - chunk.body).split(b"\0")[0]
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
        texts.setdefault(chunk.name.decode("latin-1"), text)
    return texts
