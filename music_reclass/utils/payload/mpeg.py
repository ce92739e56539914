"""MPEG audio frames, looked for where a stream does not begin with one."""

from __future__ import annotations

from typing import BinaryIO

from music_reclass.utils.payload.reading import peek

LOOK = 1 << 16  # bytes
IN_A_ROW = 3  # frames that must follow each other exactly, so that chance does not make an MP3

_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # (version 1 or later, layer) -> bit rates; version 2's layer 3 is as its layer 2
_RATES = (44100, 48000, 32000)


def frame_length(header: bytes) -> int:
    """Bytes of the frame that a four-byte header announces; 0 where it is no such header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_code, bitrate_code = header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or layer == 4 or rate_code == 3 or bitrate_code in (0, 15):
        return 0
    generation = 1 if version == 3 else 2
    rate = _RATES[rate_code] >> {3: 0, 2: 1, 0: 2}[version]
    bitrate = _KBITS[generation, min(layer, 2) if generation == 2 else layer][bitrate_code] * 1000
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12 * bitrate // rate + padding) * 4
    return (72 if layer == 3 and generation == 2 else 144) * bitrate // rate + padding


def starts_frames(file: BinaryIO, at: int) -> bool:
    """Whether frames follow each other from `at` on."""
    for _ in range(IN_A_ROW):
        length = frame_length(peek(file, at, 4))
        if not length:
            return False
        at += length
    return True


def begins_nearby(file: BinaryIO, start: int) -> bool:
    """Whether MPEG audio begins within 64 KiB: behind padding that an ID3 tag forgot to count, or other refuse."""
    data = peek(file, start, LOOK)
    at = data.find(b"\xff")
    while at >= 0:
        if frame_length(data[at : at + 4]) and starts_frames(file, start + at):
            return True
        at = data.find(b"\xff", at + 1)
    return False
