"""The sound of a small library, made with integers and the standard library alone: the same on every machine."""

from __future__ import annotations

import array
import hashlib
import struct
from functools import cache

RATE = 22050
Sound = tuple[int, int, list[int]]  # from which sample, percent of its strength, samples
SEMITONES = (65536, 69433, 73562, 77936, 82570, 87480, 92682, 98193, 104032, 110218, 116772, 123715)  # 2^(n/12) << 16


def _wave(partials: tuple[int, ...]) -> list[int]:
    """One period of 1024 steps out of parabolas that stand for sines; `partials` are strengths in percent."""
    one = [n * (512 - n) // 2 for n in range(512)]  # 0..32768
    sine = one + [-value for value in one]
    return [sum(sine[n * (k + 1) & 1023] * share for k, share in enumerate(partials)) // 100 for n in range(1024)]


TIMBRES = {
    "flute": _wave((70, 12, 5)),
    "piano": _wave((40, 24, 12, 8, 6, 4)),
    "reed": _wave((30, 5, 24, 4, 16, 3, 9)),
    "saw": _wave((45, 22, 15, 11, 9, 7, 6, 5)),
}


def noise(seed: str, count: int) -> list[int]:
    """`count` numbers from -32768 to 32767."""
    return list(struct.unpack(f"<{count}h", hashlib.shake_128(seed.encode()).digest(2 * count)))


def tone(timbre: str, note: int, count: int, decay: int) -> list[int]:
    """A note `note` semitones above 55 Hz; its strength halves about `decay` times in a second."""
    wave, step = TIMBRES[timbre], 55 * 1024 * (SEMITONES[note % 12] << note // 12) // RATE
    levels, level = [], 32768
    for _ in range(count // 64 + 1):
        levels.append(level)
        level -= level * decay * 45 // RATE
    return [wave[(n * step >> 16) & 1023] * levels[n >> 6] >> 15 for n in range(count)]


def drum(kind: str, count: int) -> list[int]:
    """A kick, a snare or a hat."""
    if kind == "kick":
        return tone("flute", 0, count, 14)
    decay = 40 if kind == "snare" else 120
    level, made = 32768, []
    for value in noise(kind, count):
        made.append(value * level >> 15)
        level -= level * decay // RATE
    return made


def mixed(seconds: int, parts: list[Sound]) -> array.array[int]:
    """Sounds at their places: (sample, percent, sound); too loud is cut off."""
    total = [0] * (seconds * RATE)
    for at, share, sound in parts:
        end = min(at + len(sound), len(total))
        total[at:end] = [a + b * share // 100 for a, b in zip(total[at:end], sound, strict=False)]
    return array.array("h", [max(-32768, min(32767, value)) for value in total])


def melody(timbre: str, notes: tuple[int, ...], beat: int, decay: int, share: int, seconds: int) -> list[Sound]:
    """One note a beat of `beat` samples, over and over."""
    sounds = {note: tone(timbre, note, 2 * beat, decay) for note in set(notes)}
    return [(n * beat, share, sounds[notes[n % len(notes)]]) for n in range(seconds * RATE // beat)]


def rhythm(pattern: str, beat: int, share: int, seconds: int) -> list[Sound]:
    """k, s, h and . at each beat of `beat` samples, over and over."""
    sounds = {key: drum(kind, 4000) for key, kind in (("k", "kick"), ("s", "snare"), ("h", "hat"))}
    steps = range(seconds * RATE // beat)
    return [(n * beat, share, sounds[key]) for n in steps if (key := pattern[n % len(pattern)]) in sounds]


@cache
def samples(name: str) -> array.array[int]:
    """The sound of one tune, mono at RATE; not to be written to."""
    waltz = melody("piano", (24, 31, 36, 28, 34, 38), 7000, 2, 30, 8)
    makers = {
        "waltz": lambda: mixed(8, waltz + melody("flute", (36, 40, 43, 48, 43, 40), 10500, 1, 25, 8)),
        "adagio": lambda: mixed(
            9, melody("reed", (19, 24, 28, 31), 20000, 0, 25, 9) + melody("reed", (12, 16, 19), 30000, 0, 25, 9)
        ),
        "beats": lambda: mixed(
            8, rhythm("k.hsk.hsk.h.k.hs", 3000, 70, 8) + melody("saw", (0, 0, 3, 5), 12000, 4, 40, 8)
        ),
        "riff": lambda: mixed(
            8,
            melody("saw", (7, 7, 10, 12, 7, 7, 13, 12), 5500, 1, 90, 8)
            + melody("saw", (14, 14, 17, 19, 14, 14, 20, 19), 5500, 1, 90, 8)
            + rhythm("khshkhsh", 2750, 90, 8),
        ),
        "floor": lambda: mixed(
            7, rhythm("khhhkhhhkhhhkhsh", 2600, 60, 7) + melody("saw", (24, 27, 31, 36, 34), 1300, 9, 35, 7)
        ),
        "drone": lambda: mixed(8, [(0, 8, noise("drone", 8 * RATE)), *melody("flute", (0, 7), 44100, 0, 40, 8)]),
        "mist": lambda: mixed(8, [(0, 20, noise("hiss", 8 * RATE)), *waltz]),
        "fog": lambda: mixed(8, [(0, 24, noise("hiss", 8 * RATE)), *waltz]),
        "hiss": lambda: mixed(6, [(0, 60, noise("hiss", 6 * RATE))]),
        "blip": lambda: mixed(3, melody("flute", (36, 43), 11025, 2, 50, 3)),
        "silence": lambda: mixed(6, []),
    }
    return makers[name]()
