"""Audio files put together byte by byte: those of a small library, and the least that each container can hold."""

from __future__ import annotations

import array
import struct
import sys
from functools import cache
from pathlib import Path

from tests.golden.music import RATE, samples

# --- tags ------------------------------------------------------------------------------------------------------


def id3(fields: dict[str, str], padding: int = 64) -> bytes:
    """An ID3v2.4 tag of text frames in UTF-8."""
    frames = b"".join(_frame(name, b"\x03" + value.encode()) for name, value in fields.items()) + bytes(padding)
    return b"ID3\x04\0\0" + _syncsafe(len(frames)) + frames


def _frame(name: str, body: bytes) -> bytes:
    return name.encode() + _syncsafe(len(body)) + b"\0\0" + body


def _syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def comments(fields: dict[str, str]) -> bytes:
    """Vorbis comments without framing."""
    entries = [f"{name}={value}".encode() for name, value in fields.items()]
    lengths = struct.pack("<I6sI", 6, b"golden", len(entries))
    return lengths + b"".join(struct.pack("<I", len(entry)) + entry for entry in entries)


def id3v1(title: str, genre: int) -> bytes:
    """An ID3v1 tag."""
    return b"TAG" + struct.pack("<30s30s30s4s30sB", title.encode(), b"", b"", b"1999", b"", genre)


def ape_tag(genre: str) -> bytes:
    """An APEv2 tag with header and footer."""
    item = struct.pack("<II", len(genre), 0) + b"Genre\0" + genre.encode()
    mark = (struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, flags) for flags in (5 << 29, 4 << 29))
    head, foot = mark
    return head + item + foot


# --- files with sound ------------------------------------------------------------------------------------------


def wav(tune: str, tag: bytes = b"", genre: str | None = None) -> bytes:
    """Mono WAV, with an `id3 ` chunk for `tag` and a LIST chunk for `genre`."""
    data = _bytes(samples(tune), "little")
    chunks = _chunk("<", b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)) + _chunk("<", b"data", data)
    if genre is not None:
        text = genre.encode() + b"\0"
        chunks += _chunk("<", b"LIST", b"INFO" + _chunk("<", b"IGNR", text))
    if tag:
        chunks += _chunk("<", b"id3 ", tag)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def aiff(tune: str, tag: bytes = b"") -> bytes:
    """Stereo AIFF at twice RATE: each sample twice, the right channel at three quarters."""
    wide = [part for value in samples(tune) for part in (value, value * 3 // 4) * 2]
    rate = b"\x40\x0e\xac\x44" + bytes(6)  # 44100 as an 80-bit float
    common = struct.pack(">HIH", 2, len(wide) // 2, 16) + rate
    sound = bytes(8) + _bytes(array.array("h", wide), "big")
    chunks = _chunk(">", b"COMM", common) + _chunk(">", b"SSND", sound)
    if tag:
        chunks += _chunk(">", b"ID3 ", tag)
    return b"FORM" + struct.pack(">I", len(chunks) + 4) + b"AIFF" + chunks


@cache
def flac(tune: str, fields: tuple[tuple[str, str], ...] = (), padding: int = 64) -> bytes:
    """Mono FLAC that compresses nothing: every subframe is verbatim."""
    values = samples(tune)
    size = 4096
    frames = b"".join(_flac_frame(n, values[at : at + size]) for n, at in enumerate(range(0, len(values), size)))
    bits = RATE << 44 | 0 << 41 | 15 << 36 | len(values)  # rate, channels - 1, bits - 1, samples
    info = struct.pack(">HH", size, size) + bytes(6) + bits.to_bytes(8, "big") + bytes(16)
    blocks = [(0, info), (4, comments(dict(fields))), (1, bytes(padding))]
    packed = b"".join(bytes([kind]) + len(body).to_bytes(3, "big") + body for kind, body in blocks[:-1])
    return b"fLaC" + packed + b"\x81" + padding.to_bytes(3, "big") + bytes(padding) + frames


def _flac_frame(number: int, values: array.array[int]) -> bytes:
    head = b"\xff\xf8\x76\x08" + bytes([number]) + struct.pack(">H", len(values) - 1)  # 16-bit length, 22.05 kHz
    assert number < 128
    head += bytes([_crc(head, 8, 0x07)])
    frame = head + b"\x02" + _bytes(values, "big")
    return frame + struct.pack(">H", _crc(frame, 16, 0x8005))


@cache
def _crc_table(bits: int, polynomial: int) -> tuple[int, ...]:
    top, mask = 1 << bits - 1, (1 << bits) - 1
    table = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return tuple(table)


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    table, mask, shift, value = _crc_table(bits, polynomial), (1 << bits) - 1, bits - 8, 0
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> shift ^ byte]
    return value


def _chunk(order: str, name: bytes, body: bytes) -> bytes:
    return name + struct.pack(f"{order}I", len(body)) + body + bytes(len(body) & 1)


def _bytes(values: array.array[int], order: str) -> bytes:
    if sys.byteorder != order:
        values = array.array("h", values)
        values.byteswap()
    return values.tobytes()


def _about(title: str, genre: str | None = None, artist: str = "", album: str = "") -> bytes:
    named = {"TIT2": title, "TPE1": artist, "TALB": album, "TCON": genre}
    return id3({name: value for name, value in named.items() if value})


@cache
def library() -> dict[str, bytes]:
    """Path below the folder -> bytes: an album, single tracks with all sorts of genres, and what cannot be decided."""
    hiss = wav("hiss")
    return {
        "Alpha Trio/First Light/01 Waltz.wav": wav("waltz", _about("Waltz", "Other", "Alpha Trio", "First Light")),
        "Alpha Trio/First Light/02 Adagio.wav": wav("adagio", _about("Adagio", None, "Alpha Trio", "First Light")),
        "Alpha Trio/First Light/03 Drone.aiff": aiff("drone", _about("Drone", None, "Alpha Trio", "First Light")),
        "Beats.wav": wav("beats", _about("Beats", "Techno", "Beta")),
        "Drone again.wav": wav("drone", _about("Drone", "Electronic")),
        "Floor.aiff": aiff("floor"),
        "Floor.wav": wav("floor", genre="misc"),
        "Fog.wav": wav("fog", _about("Fog", "Folk")),
        "Mist.wav": wav("mist", _about("Mist", "")),
        "Hiss.flac": flac("hiss", (("TITLE", "Hiss"), ("ARTIST", "Nobody"), ("GENRE", "genre"))),
        "Riff.flac": flac("riff", (("TITLE", "Riff"), ("GENRE", "Jazz"))),
        "odd/blip.wav": wav("blip"),
        "odd/bad.flac": b"fLaC\x80\0\0\x22" + bytes(34) + SOUND,
        "odd/cut short.wav": hiss[: len(hiss) - 9001],
        "odd/empty.mp3": b"",
        "odd/silence.wav": wav("silence"),
        "odd/text.mp3": b"This is a letter and no music.\n" * 40,
    }


def put(folder: Path, files: dict[str, bytes]) -> Path:
    """The folder, with `files` in it."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


# --- the least of every container ------------------------------------------------------------------------------

SOUND = bytes(range(256)) * 3
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def _atom(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body


def _page(number: int, kind: int, granule: int, packets: list[bytes]) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, kind, granule, 7, number, 0, len(lacing))
    page = head + lacing + b"".join(packets)
    return page[:22] + struct.pack("<I", _crc(page, 32, 0x04C11DB7)) + page[26:]


def _ogg(first: bytes, comment: bytes, more: list[bytes]) -> bytes:
    packets = [comment, *more[:-1]]
    return _page(0, 2, 0, [first]) + _page(1, 0, 0, packets) + _page(2, 4, 960, [more[-1]])


def containers() -> dict[str, bytes]:
    """Name -> bytes of files that hold little but a structure; no decoder would play most of them."""
    mpeg = (b"\xff\xfb\x90\x64" + bytes(413)) * 4
    rate = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    riff = b"WAVE" + _chunk("<", b"fmt ", rate) + _chunk("<", b"data", SOUND)
    sizes = struct.pack("<QQQI", 0, len(SOUND), 0, 0)
    rf64 = b"WAVE" + _chunk("<", b"ds64", sizes) + _chunk("<", b"fmt ", rate) + b"data\xff\xff\xff\xff" + SOUND
    note = comments({"TITLE": "A", "GENRE": "Jazz"})
    tag = id3({"TIT2": "A", "TCON": "Jazz"})
    stream = b"fLaC\x81\0\0\x22" + struct.pack(">HH", 4096, 4096) + bytes(30)
    mp4 = _atom(b"ftyp", b"M4A \0\0\0\0") + _atom(b"moov", _atom(b"udta", b"a tag")) + _atom(b"mdat", SOUND)
    asf = b"".join(
        kind + struct.pack("<Q", len(body) + 24) + body for kind, body in ((_ASF_HEADER, b"tags"), (_ASF_DATA, SOUND))
    )
    return {
        "mpeg": mpeg,
        "mpeg with tags around": tag + mpeg + ape_tag("Jazz") + id3v1("A", 8),
        "wav": b"RIFF" + struct.pack("<I", len(riff)) + riff,
        "wav with a tag": b"RIFF" + struct.pack("<I", len(riff)) + riff + _chunk("<", b"id3 ", tag),
        "rf64": b"RF64\xff\xff\xff\xff" + rf64,
        "aiff": b"FORM"
        + struct.pack(">I", 0)
        + b"AIFF"
        + _chunk(">", b"COMM", bytes(18))
        + _chunk(">", b"SSND", SOUND),
        "flac": stream[:4] + b"\x80" + stream[5:] + SOUND,
        "flac with comments": stream[:4] + b"\0" + stream[5:] + b"\x84" + len(note).to_bytes(3, "big") + note + SOUND,
        "vorbis": _ogg(b"\x01vorbis" + bytes(23), b"\x03vorbis" + note + b"\x01", [b"\x05vorbis", SOUND[:600], SOUND]),
        "opus": _ogg(b"OpusHead" + bytes(11), b"OpusTags" + note, [SOUND[:300], SOUND]),
        "ogg flac": _ogg(
            b"\x7fFLAC\x01\0\0\x01" + stream[:4] + b"\0" + stream[5:], b"\x84" + note, [b"\xff\xf8" + SOUND]
        ),
        "mp4": mp4,
        "mp4 with a long mdat": _atom(b"ftyp", b"M4A ") + struct.pack(">I4sQ", 1, b"mdat", len(SOUND) + 16) + SOUND,
        "asf": asf,
        "wavpack": b"wvpk" + SOUND + ape_tag("Jazz"),
        "monkeys": b"MAC " + SOUND + ape_tag("Jazz"),
        "tta": tag + b"TTA1" + SOUND + id3v1("A", 8),
        "tak": b"tBaK" + SOUND + ape_tag("Jazz"),
        "musepack 7": b"MP+\x07" + SOUND + ape_tag("Jazz"),
        "musepack 8": b"MPCK" + SOUND + ape_tag("Jazz"),
        "optimfrog": b"OFR " + SOUND,
        "unknown": b"nobody knows" + SOUND,
        "contradicts itself": mp4[: -len(SOUND) - 8][:-3],
        "empty": b"",
    }
