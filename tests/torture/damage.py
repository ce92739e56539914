"""Files damaged by code: cut short, bits flipped, headers swapped, sizes that lie, and tags that no program writes."""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import av
import mutagen.apev2

from music_reclass.extractors.audio.synthesis import song
from tests.tagging.samples import KINDS, SUFFIX_OF_KIND, id3, id3v1, sample, tagged, without_id3

CUTS, FLIPS = 20, 50  # of each kind, in the long form
SIZES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\xff\xff\0", b"\0\0\0\x01")
# What stands beside sizes: chunks, atoms, frames, marks of pages and blocks, the first bytes of ASF's identifiers.
NAMES = (
    *b"ftyp moov mvhd trak mdia minf stbl stco co64 stsz stsc stts udta meta ilst hdlr mdat free data trkn".split(),
    *b"covr ---- mean name moof mfhd traf tfhd trun sidx mfra tfra mfro gnre ID3 3DI TAG APETAGEX".split(),
    *b"RIFF RF64 FORM WAVE AIFF ds64 LIST INFO IGNR INAM SSND COMM fact junk LYRICS200 TIT2 TPE1 TCON TXXX".split(),
    *b"APIC CHAP TT2 TCO PIC wvpk OggS fLaC vorbis OpusTags OpusHead Speex FLAC TTA1".split(),
    *(b"id3 ", b"fmt ", b"\xa9nam", b"\xa9gen", b"\x30\x26\xb2\x75", b"\xa1\xdc\xab\x8c", b"\xb5\x03\xbf\x5f"),
    *(b"\x40\xa4\xd0\xd2", b"\x33\x26\xb2\x75", b"\xea\xcb\xf8\xc5", b"\x36\x26\xb2\x75"),
)


def syncsafe(value: int) -> bytes:
    """Four bytes of seven bits each."""
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def head(version: int, flags: int, body: bytes) -> bytes:
    """An ID3v2 tag."""
    return b"ID3" + bytes([version, 0, flags]) + syncsafe(len(body)) + body


def frame(name: bytes, body: bytes, version: int = 4, flags: bytes = b"\0\0") -> bytes:
    """A frame of an ID3v2 tag."""
    if version == 2:
        return name + len(body).to_bytes(3, "big") + body
    return name + (syncsafe(len(body)) if version == 4 else len(body).to_bytes(4, "big")) + flags + body


def ape(*items: tuple[str, list[str]]) -> bytes:
    """An APEv2 tag."""
    tag, out = mutagen.apev2.APEv2(), io.BytesIO()
    for key, values in items:
        tag[key] = values
    tag.save(out)
    return out.getvalue()


def lyrics() -> bytes:
    """A Lyrics3v2 tag."""
    body = b"LYRICSBEGININD0000200LYR00005hello"
    return body + b"%06dLYRICS200" % len(body)


def remuxed(encoder: str, container: str, rate: int = 44100) -> bytes:
    """A short tune by one of FFmpeg's encoders in one of its containers."""
    out = io.BytesIO()
    pcm = (song(1, 1.0, rate)[:, :1] * 32767).astype("int16")
    with av.open(out, "w", format=container, options={"fflags": "+bitexact"}) as output:
        stream = output.add_stream(encoder, rate=rate)
        stream.codec_context.layout = "mono"
        stream.codec_context.format = "s16"
        plain = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        plain.sample_rate, plain.pts = rate, 0
        output.mux(stream.encode(plain))
        output.mux(stream.encode(None))
    return out.getvalue()


def _mixtures() -> dict[str, Callable[[], bytes]]:
    """Tags in numbers and mixtures that only torture makes, each around sound that plays."""

    def stream() -> bytes:
        return without_id3(sample("mp3"))

    genre4, genre3 = frame(b"TCON", b"\x03Other"), frame(b"TCON", b"\0Other", 3)
    text = frame(b"TIT2", b"\x03A Title")
    v22 = head(2, 0, frame(b"TT2", b"\0A Title", 2) + frame(b"TCO", b"\0(17)", 2) + bytes(20))
    v1 = id3v1("A Title", "One", 17)
    tail = ape(("Title", ["A Title"]), ("Genre", ["Other"]))
    inflated = zlib.compress(b"\0a\0" + b"x\0" * 2_000)
    bomb = frame(b"TXXX", syncsafe(4_003) + inflated, 4, b"\0\x09")
    unsync = frame(b"TCON", b"\x03Other", 4, b"\0\x02") + frame(b"PRIV", b"a\0\xff\x00\xe0", 4, b"\0\x02")
    item = frame(b"PRIV", b"x\0" + tail)
    return {
        "mp3 2.2, 2.3, 2.4 and 1 together": lambda: v22 + id3(["Other"], 3) + id3(["Other"], 4) + stream() + v1,
        "mp3 every tag": lambda: id3(["Other"], 4) + v22 + stream() + tail + lyrics() + b"TAG+" + bytes(223) + v1,
        "mp3 tails in another order": lambda: head(4, 0, genre4) + stream() + v1 + tail + v1 + lyrics() + tail,
        "mp3 40 tags in front, 40 behind": lambda: head(4, 0, genre4 + text) * 40 + stream() + tail * 40 + v1 * 40,
        "mp3 tags within tags": lambda: head(4, 0, item + genre4) + stream() + ape(("Genre", [tail.decode("latin1")])),
        "mp3 genre twice": lambda: head(4, 0, text + genre4 * 2 + text) + stream() + ape(("Genre", ["Other", "Other"])),
        "mp3 genre in no coding": lambda: head(4, 0, frame(b"TCON", b"\x09Other") + text) + stream(),
        "mp3 genre empty": lambda: head(4, 0, frame(b"TCON", b"") + text + frame(b"TCON", b"\x03")) + stream(),
        "mp3 unsynchronised 2.4": lambda: head(4, 0x80, unsync + text) + stream(),
        "mp3 unsynchronised 2.4 ends in ff": lambda: head(4, 0x80, unsync + frame(b"PRIV", b"a\0\xff")) + stream(),
        "mp3 extended 2.3": lambda: head(3, 0x40, struct.pack(">IHI", 6, 0, 10) + genre3 + bytes(10)) + stream(),
        "mp3 extended 2.3, checksum": lambda: (
            head(3, 0x40, struct.pack(">IHII", 10, 1 << 15, 0, 7) + genre3) + stream()
        ),
        "mp3 extended 2.4": lambda: head(4, 0x40, b"\0\0\0\x06\x01\0" + genre4 + bytes(9)) + stream(),
        "mp3 extended 2.4, restrictions": lambda: head(4, 0x40, b"\0\0\0\x08\x01\x10\x01\0" + genre4) + stream(),
        "mp3 compressed frames": lambda: head(4, 0, bomb * 3 + genre4) + stream(),
        "mp3 footer and padding": lambda: head(4, 0x10, genre4 + bytes(9)) + b"3DI\4\0\x10" + syncsafe(29) + stream(),
        "mp3 footer behind": lambda: stream() + head(4, 0x10, genre4) + b"3DI\4\0\x10" + syncsafe(len(genre4)) + v1,
        "flac every tag": lambda: id3(["Other"], 4) + tagged("flac") + tail + v1,
        "wavpack every tag": lambda: tagged("wavpack") + lyrics() + v1,
        "monkeys every tag": lambda: id3(["Other"], 3) + tagged("monkeys") + v1,
        "tta every tag": lambda: id3(["Other"], 3) + without_id3(sample("tta")) + tail + v1,
        "ogg flac": lambda: remuxed("flac", "ogg"),
        "ogg speex": lambda: remuxed("libspeex", "ogg", 16000),
        "vorbis chained": lambda: tagged("vorbis") + tagged("vorbis", ("Jazz",)),
        "adts": lambda: remuxed_adts(),
    }


def remuxed_adts() -> bytes:
    """AAC as a bare stream, with an ID3v2 tag in front."""
    out = io.BytesIO()
    with av.open(io.BytesIO(sample("aac"))) as source, av.open(out, "w", format="adts") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return id3(["Other"], 3) + out.getvalue()


MIXTURES = _mixtures()
ALL = (*KINDS, *MIXTURES)
_OWN_SUFFIX = {"flac": ".flac", "wavpack": ".wv", "monkeys": ".ape", "tta": ".tta", "ogg": ".ogg", "vorbis": ".ogg"}


def suffix_of(kind: str) -> str:
    """What files of a kind are called."""
    return SUFFIX_OF_KIND.get(kind) or _OWN_SUFFIX.get(kind.split()[0], ".aac" if kind == "adts" else ".mp3")


@cache
def whole(kind: str) -> bytes:
    """An undamaged file of one of ALL; b"" where FFmpeg here has no encoder for it."""
    if kind in SUFFIX_OF_KIND:
        return tagged(kind)
    try:
        return MIXTURES[kind]()
    except (av.FFmpegError, ValueError, LookupError):
        return b""


def cases(kind: str, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Every damage of the long form, each with what it is."""
    data = whole(kind)
    yield "whole", data
    for cut in (*range(CUTS // 2), *(chance.randrange(len(data)) for _ in range(CUTS // 2))):
        at = cut if cut > CUTS // 2 else len(data) * cut // (CUTS // 2)
        yield f"cut at {at}", data[:at]
    structure = min(len(data), 2000)
    for number in range(FLIPS):
        at = (number % 4 < 2 and chance.randrange(structure)) or len(data) - 1 - chance.randrange(
            structure if number % 4 == 2 else len(data)
        )
        bit = chance.randrange(8)
        yield f"bit {bit} of byte {at} flipped", data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    for other in chance.sample(ALL, 12):
        length = chance.choice((4, 16, 64, 512, 4096))
        yield f"{length} bytes of the header of {other}", whole(other)[:length] + data[length:]
    for at in sizes_in(data):
        for value in (*SIZES, *_beyond(data, at)):
            yield f"size {value.hex()} at {at}", data[:at] + value + data[at + len(value) :]


def sizes_in(data: bytes) -> list[int]:
    """Where sizes may stand: around everything that has a name, and in the first and last bytes."""
    found = set(range(0, 48, 2)) | set(range(len(data) - 48, len(data) - 3, 2))
    for name in NAMES:
        for match in list(re.finditer(re.escape(name), data))[:3]:
            found |= {match.start() - 8, match.start() - 4, *range(match.end(), match.end() + 20, 4)}
            found |= {match.end() + 2, match.end() + 3, match.end() + 12}
    return sorted(at for at in found if 0 <= at <= len(data) - 4)


def _beyond(data: bytes, at: int) -> tuple[bytes, ...]:
    """Sizes that reach just beyond the end of the file, and just not."""
    rest = len(data) - at
    return tuple(struct.pack(code, rest + more) for code in (">I", "<I") for more in (1, -8) if rest + more >= 0)


def written(path: Path, data: bytes) -> Path:
    """A file with that content."""
    path.write_bytes(data)
    return path
