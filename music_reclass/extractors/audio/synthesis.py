"""Synthesised music, encoded to any format: the demo library and test signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# codec name -> (PyAV encoder, container, sample format, sample rates it takes or () for any)
CODECS: dict[str, tuple[str, str, str, tuple[int, ...]]] = {
    "mp3": ("libmp3lame", "mp3", "s16p", (44100, 48000, 32000, 22050, 16000)),
    "flac": ("flac", "flac", "s16", ()),
    "opus": ("libopus", "ogg", "flt", (48000,)),
    "aac": ("aac", "ipod", "fltp", (44100, 48000, 32000, 22050, 16000)),
    "alac": ("alac", "ipod", "s16p", ()),
    "pcm": ("pcm_s16le", "wav", "s16", ()),
    "aiff": ("pcm_s16be", "aiff", "s16", ()),
    "wma": ("wmav2", "asf", "fltp", (44100, 48000, 22050, 16000)),
    "wavpack": ("wavpack", "wv", "s16p", ()),
    "tta": ("tta", "tta", "s16", ()),
    "mka": ("libopus", "matroska", "flt", (48000,)),
    "webm": ("libopus", "webm", "flt", (48000,)),
}
BY_SUFFIX = {
    ".mp3": "mp3", ".flac": "flac", ".ogg": "vorbis", ".oga": "vorbis", ".opus": "opus", ".m4a": "aac",
    ".mp4": "aac", ".wav": "pcm", ".aiff": "aiff", ".aif": "aiff", ".wma": "wma", ".wv": "wavpack",
    ".tta": "tta", ".mka": "mka", ".webm": "webm",
}  # fmt: skip


def song(seed: int, seconds: float, rate: int = 44100) -> NDArray[np.float32]:
    """A little tune with bass, chords and drums, shape (n, 2), in [-1, 1]; the seed sets key, tempo and timbre."""
    random = np.random.default_rng(seed)
    n = max(1, round(seconds * rate))
    t = np.arange(n) / rate
    beat = 60.0 / random.uniform(70, 150)
    root = 55.0 * 2.0 ** (random.integers(0, 12) / 12)
    third = 4 if random.random() < 0.5 else 3
    degrees = np.array([[0, 5, 7, 0], [0, 9, 5, 7], [0, 3, 8, 10]][random.integers(3)])
    bar = (t // (4 * beat)).astype(int) % 4
    base = root * 2.0 ** (degrees[bar] / 12)
    phase = np.cumsum(base) * 2 * np.pi / rate
    in_beat = t % beat
    harmonics = random.uniform(0.1, 0.7, 6) / np.arange(1, 7)
    chord = sum(
        harmonics[h] * np.sin(phase * ratio * (h + 1))
        for h in range(6)
        for ratio in (2.0, 2.0 * 2 ** (third / 12), 2.0 * 2 ** (7 / 12))
    )
    bass = np.sign(np.sin(phase)) * np.exp(-in_beat * 4)
    kick = np.sin(2 * np.pi * 60 * np.exp(-in_beat * 9)) * np.exp(-in_beat * 18)
    hat = random.standard_normal(n) * np.exp(-(t % (beat / 2)) * random.uniform(20, 90))
    left = 0.12 * chord * np.exp(-in_beat) + 0.15 * bass + 0.3 * kick + random.uniform(0.01, 0.1) * hat
    right = 0.9 * left + 0.02 * random.standard_normal(n) * np.exp(-in_beat * 5)
    stereo = np.stack([left, right], axis=1)
    peak = float(np.abs(stereo).max()) or 1.0
    return (0.7 * stereo / peak).astype(np.float32)


def encode(
    path: Path,
    samples: NDArray[np.float32],
    rate: int = 44100,
    *,
    codec: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write `samples` (n, channels), in [-1, 1], to `path`; the suffix chooses the codec unless one is named.

    `metadata` takes FFmpeg's names: title, artist, album, album_artist, genre, date.
    Raises UsageError for a suffix or codec that cannot be written.
    """
    import av

    codec = codec or BY_SUFFIX.get(path.suffix.lower())
    if codec == "vorbis":
        _encode_vorbis(path, samples, rate, metadata or {})
        return
    if codec not in CODECS:
        raise UsageError(f"Cannot encode {path.name}: choose one of vorbis, {', '.join(sorted(CODECS))}.")
    encoder, container, sample_format, rates = CODECS[codec]
    if rates and rate not in rates:
        import soxr

        samples, rate = soxr.resample(samples, rate, rates[0]).astype(np.float32), rates[0]
    channels = samples.shape[1]
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    pcm = np.clip(np.rint(samples * 32767.0), -32768, 32767).astype(np.int16)
    id3 = {"write_id3v2": "1"} if codec == "aiff" else {}
    with av.open(str(path), "w", format=container, options={"fflags": "+bitexact", **id3}) as output:
        output.metadata.update(metadata or {})
        stream: Any = output.add_stream(encoder, rate=rate, options=_options(codec))
        stream.codec_context.layout = layout
        stream.codec_context.format = sample_format
        for start in range(0, len(pcm), 65536):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(pcm[start : start + 65536].reshape(1, -1)), format="s16", layout=layout
            )
            frame.sample_rate = rate
            frame.pts = start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _encode_vorbis(path: Path, samples: NDArray[np.float32], rate: int, metadata: Mapping[str, str]) -> None:
    """PyAV's wheels bring no Vorbis encoder, libsndfile does; it overflows its stack on one big write."""
    import soundfile

    with soundfile.SoundFile(
        str(path), "w", samplerate=rate, channels=samples.shape[1], format="OGG", subtype="VORBIS"
    ) as output:
        for name in {"title", "artist", "album", "genre", "date"} & set(metadata):
            setattr(output, name, metadata[name])
        for start in range(0, len(samples), 65536):
            output.write(samples[start : start + 65536])


def _options(codec: str) -> dict[str, str]:
    # Bit-exact coding and muxing leave the encoder's version and the date out: equal input gives equal bytes.
    return {"flags": "+bitexact", **({"b": "128k"} if codec in ("mp3", "aac", "wma") else {})}


RATE = 44100
SECONDS = 12.0

# album artist, album, style, then (file name, title, genre tag or None) for each track: eight formats in all
ALBUMS = (
    ("Ida Quill", "Slow Rivers", "piano", (
        ("01 Source.mp3", "Source", None),
        ("02 Bend.flac", "Bend", "Other"),
        ("03 Delta.ogg", "Delta", None),
        ("04 Mouth.m4a", "Mouth", "Baroque"),
    )),
    ("Grid Nine", "Night Shift", "machine", (
        ("01 Clock In.opus", "Clock In", None),
        ("02 Conveyor.wav", "Conveyor", "genre"),
        ("03 Sparks.aiff", "Sparks", None),
        ("04 Clock Out.wma", "Clock Out", "Techno"),
    )),
    ("Moss Chapel", "Undertow", "pad", (
        ("01 Fog.mp3", "Fog", "12"),
        ("02 Kelp.flac", "Kelp", None),
        ("03 Shelf.m4a", "Shelf", "Unknown"),
    )),
)  # fmt: skip


# The library of `reclass demo`: several genres, and an album of which the models are not sure.
DEMO = (
    ("Grid Nine", "Night Shift", "machine", ALBUMS[1][3]),
    ("Iron Orchard", "Loud Fruit", "band", (
        ("01 Windfall.mp3", "Windfall", None),
        ("02 Cider Press.flac", "Cider Press", "Other"),
        ("03 Core.m4a", "Core", "Jazz"),
    )),
    ("Late Ferry Trio", "Pier Nine", "trio", (
        ("01 Gangway.ogg", "Gangway", None),
        ("02 Half Past Two.flac", "Half Past Two", "Unknown"),
        ("03 Last Boat.mp3", "Last Boat", "Jazz"),
    )),
)  # fmt: skip


def make_library(folder: Path, albums: Sequence[Any] = ALBUMS) -> list[Path]:
    """Write a library of `albums` below `folder`; the files in order. Equal bytes at every call."""
    paths = []
    for number, (artist, album, style, tracks) in enumerate(albums):
        for position, (name, title, genre) in enumerate(tracks, start=1):
            path = folder / artist / album / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tags = {"title": title, "artist": artist, "album": album, "track": str(position)}
            if genre is not None:
                tags["genre"] = genre
            encode(path, STYLES[style](100 * number + position), RATE, metadata=tags)
            paths.append(path)
    return paths


def piano(seed: int) -> NDArray[np.float32]:
    """A solo keyboard: struck decaying partials, wide dynamics, no drums; shape (n, 2)."""
    random = np.random.default_rng(seed)
    n = int(SECONDS * RATE)
    sound = np.zeros(n + RATE * 2)
    scale = np.array([0, 2, 3, 5, 7, 8, 10, 12, 14, 15, 17, 19])
    at = 0.0
    while at < SECONDS:
        loud = random.uniform(0.1, 1.0) * (0.6 + 0.4 * np.sin(at / 3))
        for pitch in random.choice(scale, size=random.integers(1, 4), replace=False):
            start = int(at * RATE)
            _strike(sound, start, 130.81 * 2.0 ** (pitch / 12) * random.choice([1.0, 2.0]), loud)
        at += random.choice([0.25, 0.25, 0.5, 1.0]) * 0.9
    return _stereo(sound[:n], random, width=0.15)


def machine(seed: int) -> NDArray[np.float32]:
    """Four to the floor: kick, hats, a sawtooth bass line and stabs at 128 beats a minute; shape (n, 2)."""
    random = np.random.default_rng(seed)
    n = int(SECONDS * RATE)
    t = np.arange(n) / RATE
    beat = 60.0 / 128
    in_beat, in_half, in_step = t % beat, (t + beat / 2) % beat, t % (beat / 4)
    step = (t // (beat / 4)).astype(int) % 16
    kick = np.sin(2 * np.pi * (45 * in_beat + 30 * (1 - np.exp(-in_beat * 30)) / 3)) * np.exp(-in_beat * 9)
    hat = random.standard_normal(n) * np.exp(-in_half * 45)
    notes = 43.65 * 2.0 ** (random.choice([0, 0, 3, 7, 10, 12], size=16)[step] / 12)
    phase = np.cumsum(notes) / RATE
    bass = (2 * (phase % 1) - 1) * np.exp(-in_step * 14)
    stab = sum(2 * ((np.cumsum(notes * ratio) / RATE) % 1) - 1 for ratio in (4.0, 4.76, 6.0))
    stab = stab * np.exp(-in_step * 20) * np.isin(step, random.choice(16, size=5, replace=False))
    duck = 1 - 0.7 * np.exp(-in_beat * 8)
    return _stereo(0.9 * kick + 0.12 * hat + duck * (0.35 * bass + 0.12 * stab), random, width=0.3)


def pad(seed: int) -> NDArray[np.float32]:
    """Slow detuned chords under drifting noise, no attack anywhere; shape (n, 2)."""
    random = np.random.default_rng(seed)
    n = int(SECONDS * RATE)
    t = np.arange(n) / RATE
    sound = np.zeros(n)
    for pitch in (0, 7, 12, 16, 19):
        base = 65.41 * 2.0 ** (pitch / 12)
        swell = 0.5 + 0.5 * np.sin(2 * np.pi * t / random.uniform(9, 17) + random.uniform(0, 6))
        for detune in random.uniform(-0.4, 0.4, 3):
            sound += swell * np.sin(2 * np.pi * (base + detune) * t + random.uniform(0, 6)) / (1 + pitch / 6)
    return _stereo(sound + 0.02 * _smooth(random.standard_normal(n), 40) * 6, random, width=0.5)


def band(seed: int) -> NDArray[np.float32]:
    """Distorted power chords over bass and drums at 138 beats a minute; shape (n, 2)."""
    random = np.random.default_rng(seed)
    n, half = int(SECONDS * RATE), 30.0 / 138
    guitar, bass, drums = np.zeros(n), np.zeros(n), np.zeros(n)
    for step in range(int(SECONDS / half)):
        root, at = (82.4, 98.0, 110.0, 73.4)[step // 8 % 4], step * half
        for ratio in (1.0, 1.498, 2.0, 2.996):
            _add(guitar, at, _pluck(root * ratio, 1.6 * half, random))
        _add(bass, at, _pluck(root / 2, half, random, dull=3))
        _add(drums, at, 0.12 * _hiss(4000, 700, random))
        _add(drums, at, _drum("k-s-kks-"[step % 8], random))
    return _stereo(0.5 * _smooth(np.tanh(5 * guitar), 5) + 0.5 * bass + 0.9 * drums, random, width=0.3)


def trio(seed: int) -> NDArray[np.float32]:
    """A walking bass, a swung cymbal and a piano that comps and plays a tune, 150 beats a minute; shape (n, 2)."""
    random = np.random.default_rng(seed)
    n, beat = int(SECONDS * RATE), 60.0 / 150
    sound = np.zeros(n + 2 * RATE)
    for step in range(int(SECONDS / beat)):
        root, at = (65.4, 87.3, 73.4, 98.0)[step // 4 % 4], step * beat
        _add(sound, at, 0.9 * _pluck(root * 2 ** (random.choice([0, 4, 7, 9, 10]) / 12), 1.2 * beat, random, dull=4))
        for swing in (0.0, 0.66)[: 1 + step % 2]:
            _add(sound, at + swing * beat, 0.09 * _hiss(12000, 3500, random))
        if random.random() < 0.6:
            start = int((at + random.choice([0.0, 0.66]) * beat) * RATE)
            for pitch in random.choice([3, 7, 10, 14], 3, replace=False):
                _strike(sound, start, root * 4 * 2 ** (pitch / 12), 0.18)
        if random.random() < 0.8:
            _strike(sound, int(at * RATE), 261.6 * 2 ** (random.choice([0, 2, 3, 5, 7, 9, 10, 12]) / 12), 0.35)
    return _stereo(sound[:n], random, width=0.2)


STYLES = {"piano": piano, "machine": machine, "pad": pad, "band": band, "trio": trio}


def _pluck(frequency: float, seconds: float, random: np.random.Generator, dull: int = 0) -> NDArray[np.float64]:
    """A plucked string (Karplus and Strong 1983): noise that goes round and loses its highs; `dull`: smoothings."""
    period, length = int(RATE / frequency), int(seconds * RATE)
    loop = random.uniform(-1, 1, period)
    for _ in range(dull):
        loop = 0.5 * (loop + np.roll(loop, 1))
    rounds = []
    for _ in range(length // period + 1):
        rounds.append(loop)
        loop = 0.498 * (loop + np.roll(loop, 1))
    return np.concatenate(rounds)[:length]


def _hiss(length: int, decay: float, random: np.random.Generator) -> NDArray[np.float64]:
    """A cymbal: the highs of noise that dies away; both in samples."""
    return np.diff(random.standard_normal(length) * np.exp(-np.arange(length) / decay), prepend=0.0)


def _drum(kind: str, random: np.random.Generator) -> NDArray[np.float64]:
    """A kick (k), a snare (s), or silence."""
    t = np.arange(9000) / RATE
    if kind == "k":
        return np.sin(2 * np.pi * (50 * t + 1 - np.exp(-t * 30))) * np.exp(-t * 14)
    if kind == "s":
        snares = 0.5 * random.standard_normal(len(t)) * np.exp(-t * 18)
        return snares + 0.4 * np.sin(2 * np.pi * 190 * t) * np.exp(-t * 25)
    return np.zeros(0)


def _add(sound: NDArray[np.float64], at: float, note: NDArray[np.float64]) -> None:
    """Mix a note into the sound from second `at` on, as far as the sound goes."""
    start = int(at * RATE)
    room = max(0, min(len(note), len(sound) - start))
    sound[start : start + room] += note[:room]


def _strike(sound: NDArray[np.float64], start: int, frequency: float, loud: float) -> None:
    """Add one struck string: partials that are stretched and die away the faster the higher they are."""
    length = min(len(sound) - start, 3 * RATE // 2)
    t = np.arange(length) / RATE
    attack = np.minimum(t / 0.004, 1.0)
    for partial in range(1, 6):
        tone = np.sin(2 * np.pi * frequency * partial * np.sqrt(1 + 0.0004 * partial**2) * t)
        sound[start : start + length] += loud * attack * tone * np.exp(-t * (2.2 + 0.9 * partial)) / partial**1.3


def _smooth(noise: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    return np.convolve(noise, np.ones(width) / width, mode="same")


def _stereo(mono: NDArray[np.float64], random: np.random.Generator, width: float) -> NDArray[np.float32]:
    """Two channels with a short different echo in each, at -4 dB of full scale."""
    channels = []
    for _ in range(2):
        delay = int(random.uniform(0.007, 0.03) * RATE)
        echo = np.concatenate([np.zeros(delay), mono[:-delay]])
        channels.append(mono + width * echo)
    stereo = np.stack(channels, axis=1)
    scaled: NDArray[np.float32] = (0.63 * stereo / np.abs(stereo).max()).astype(np.float32)
    return scaled
