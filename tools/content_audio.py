"""Makes a folder of audio that is not music, synthesised and from recordings: `python -m tools.content_audio OUT`.

What comes out is OUT/<label>/<source>/<number>.wav: mono, 44.1 kHz, 8 to 30 s. Sounds of one source share a maker: one
formula, one voice, one package; detectors are judged on sources that they were not trained on. `--recordings` is a
folder into which the packages of RECORDINGS are unpacked (`dpkg -x PACKAGE FOLDER`); without it, and without
espeak-ng and flite on PATH, those sources are left out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

from music_reclass.extractors.audio.synthesis import STYLES, song

Wave = NDArray[np.float64]
Random = np.random.Generator

RATE = 44100
SONGS = 12  # of each style of reclass's synthesised music


class Recordings(NamedTuple):
    """Recorded sounds of one maker in a Debian package (bookworm), and under which licence they are there."""

    label: str
    source: str
    package: str
    pattern: str  # of its files below usr/share of the folder that it was unpacked into
    licence: str
    clips: int  # how many files of this program's corpus they become


_ASTERISK = (("allison", "en", "en_US_f_Allison"), ("allison", "es", "es_MX_f_Allison"), ("june", "fr", "fr_CA_f_June"),
             ("carlo", "it", "it_IT_m_Carlo"), ("ivrvoice", "ru", "ru_RU_f_IvrvoiceRU"))  # fmt: skip
_GAMES = (
    ("lugaru", "lugaru-data", "games/lugaru/Sounds/*.ogg", "CC BY-SA 3.0", 10),
    ("btanks", "btanks-data", "games/btanks/data/sounds/**/*.ogg", "GPL-2+", 14),
    ("colobot", "colobot-common-sounds", "games/colobot/sounds/*.wav", "GPL-3+", 14),
    ("boswars", "boswars-data", "games/boswars/units/**/*.wav", "GPL-2+", 12),
    ("marsshooter", "marsshooter-data", "games/marsshooter/audio/toon/*.wav", "CC BY-SA 3.0", 6),
    ("foobillard", "foobillardplus-data", "games/foobillardplus/data/*.wav", "GPL-2", 4),
    ("hyperrogue", "hyperrogue-music", "hyperrogue/sounds/*.ogg", "CC BY-SA 3.0", 10),
    ("freedesktop", "sound-theme-freedesktop", "sounds/freedesktop/stereo/*.oga", "CC BY-SA 3.0", 4),
)
_STAMPS = "tuxpaint/stamps"
_TUXPAINT, _KTUBERLING, _KLETTRES = "tuxpaint-stamps-default", "ktuberling-data", "klettres-data"
RECORDINGS = (
    *(
        Recordings("speech", f"asterisk-{voice}", f"asterisk-core-sounds-{code}-g722",
                   f"asterisk/sounds/{folder}/**/*.g722",
                   "CC BY-SA 3.0" if code != "ru" else "CC BY 3.0", 20)
        for voice, code, folder in _ASTERISK
    ),
    *(
        Recordings("speech", f"tuxpaint-{code}", _TUXPAINT, f"{_STAMPS}/**/*_desc_{code}.ogg", "GPL-2", 14)
        for code in ("fr", "ru", "ro", "ca", "bg", "es", "be", "el", "da", "lt")
    ),
    *(
        Recordings("speech", f"ktuberling-{code}", _KTUBERLING, f"ktuberling/sounds/{code}/*.*", "GPL-2+", 6)
        for code in ("ca", "da", "de", "fr", "lt", "sl")
    ),
    *(
        Recordings("speech", f"klettres-{code}", _KLETTRES, f"klettres/{code}/**/*.ogg", "GPL-2+", 4)
        for code in ("en", "es", "fr", "de", "cs", "da")
    ),
    Recordings("speech", "fillets-cs", "fillets-ng-data-cs", "games/fillets-ng/sound/*/cs/*.ogg", "GPL-2+", 24),
    *(
        Recordings("animal", f"tuxpaint-{name}", _TUXPAINT, f"{_STAMPS}/animals/{name}/**/*.ogg", "GPL-2", clips)
        for name, clips in (("birds", 16), ("mammals", 20), ("insects", 6))
    ),
    Recordings("animal", "lugaru-animals", "lugaru-data", "games/lugaru/Sounds/*.ogg", "CC BY-SA 3.0", 8),
    *(Recordings("noise", *game) for game in _GAMES),
)  # fmt: skip

SENTENCES = {
    "en": "Chapter three. The rain had stopped before the two of them reached the gate, and nobody was waiting there. "
    "She counted the windows, one after the other, and wondered which of them had been lit last night. Welcome back to "
    "the programme. Today we talk about bread, about patience, and about the people who rise at four in the morning.",
    "de": "Drittes Kapitel. Der Regen hatte aufgehört, bevor die beiden das Tor erreichten, und niemand wartete dort. "
    "Willkommen zurück. Heute sprechen wir über Brot, über Geduld und über Leute, die um vier Uhr früh aufstehen.",
    "fr": "Chapitre trois. La pluie avait cessé avant qu'ils n'arrivent à la porte, et personne ne les attendait. "
    "Bienvenue. Aujourd'hui nous parlons du pain, de la patience, et de ceux qui sont debout à quatre heures du matin.",
    "es": "Capítulo tres. La lluvia había cesado antes de que llegaran a la puerta, y nadie los esperaba. Bienvenidos. "
    "Hoy hablamos del pan, de la paciencia y de la gente que se levanta a las cuatro de la mañana.",
    "it": "Capitolo tre. La pioggia era finita prima che arrivassero al cancello, e nessuno li aspettava. Bentornati. "
    "Oggi parliamo del pane, della pazienza e di chi si alza alle quattro del mattino.",
    "sv": "Kapitel tre. Regnet hade slutat innan de kom fram till grinden, och ingen väntade där. Välkomna tillbaka. I "
    "dag talar vi om bröd, om tålamod och om dem som går upp klockan fyra på morgonen.",
    "pl": "Rozdział trzeci. Deszcz ustał, zanim doszli do bramy, i nikt tam nie czekał. Witamy ponownie. Dzisiaj "
    "rozmawiamy o chlebie, o cierpliwości i o ludziach, którzy wstają o czwartej rano.",
}
VOICES = {  # synthesiser -> voices; a voice of espeak-ng is language and variant
    "espeak": ("en-us+m3", "en-gb+f2", "de+m1", "fr+f4", "es+m5", "it+f3", "sv+m7", "pl+f5"),
    "flite": ("kal16", "awb", "rms", "slt"),
}


def tones(random: Random, n: int) -> Iterator[tuple[str, str, Wave]]:
    """Label, source and samples of what measuring devices and telephones make, once each."""
    t = np.arange(n) / RATE
    frequency = 2.0 ** random.uniform(np.log2(40), np.log2(12000))
    yield "tone", "sine", np.sin(2 * np.pi * frequency * t)
    yield "tone", "square", np.sign(np.sin(2 * np.pi * 2.0 ** random.uniform(6, 11) * t))
    count = int(random.integers(2, 6))
    frequencies = 2.0 ** random.uniform(np.log2(60), np.log2(6000), count)
    yield "tone", "steady-tones", np.sum([np.sin(2 * np.pi * f * t) for f in frequencies], axis=0)
    low, high = sorted(2.0 ** random.uniform(np.log2(20), np.log2(18000), 2))
    period = random.choice([n / RATE, random.uniform(1, 10)])
    phase = (t % period) / period
    sweep = low * (high / low) ** phase if random.random() < 0.5 else low + (high - low) * phase
    yield "tone", "sweep", np.sin(2 * np.pi * np.cumsum(sweep) / RATE)
    yield "tone", "dtmf", _pulses(random, n, lambda r: _dtmf(r, 0.12), (0.15, 0.4))
    on = random.uniform(0.2, 1.5)
    pair = [(350, 440), (425, 425), (480, 620), (440, 480), (1000, 1000)][random.integers(5)]
    gate = (t % (on * random.uniform(1.3, 3.0))) < on
    yield "tone", "telephone", gate * (np.sin(2 * np.pi * pair[0] * t) + np.sin(2 * np.pi * pair[1] * t))
    beep = 2.0 ** random.uniform(9, 12)
    length = int(random.uniform(0.03, 0.3) * RATE)
    yield "tone", "beeps", _pulses(random, n, lambda r: np.sin(2 * np.pi * beep * np.arange(length) / RATE), (0.5, 2.0))
    speed = random.uniform(0.1, 1.0)
    siren = 2.0 ** (9.5 + random.uniform(0.3, 1.0) * np.sin(2 * np.pi * speed * t))
    yield "tone", "siren", np.sin(2 * np.pi * np.cumsum(siren) / RATE)


def noises(random: Random, n: int) -> Iterator[tuple[str, str, Wave]]:
    """The same of noise, hum, machines, weather, clicks, and of nearly nothing."""
    t = np.arange(n) / RATE
    yield "noise", "white", random.standard_normal(n)
    yield "noise", "coloured", _coloured(random, n, random.choice([-3.0, -6.0, -9.0, 3.0]))
    low = 2.0 ** random.uniform(6, 12)
    yield "noise", "band", _band(random.standard_normal(n), low, min(low * 2.0 ** random.uniform(0.5, 4), 20000))
    mains = random.choice([50.0, 60.0])
    strength = random.uniform(0.05, 1.0, 12) / np.arange(1, 13) ** random.uniform(0.3, 2)
    hum = np.sum([a * np.sin(2 * np.pi * mains * k * t + k) for k, a in enumerate(strength, 1)], axis=0)
    yield "noise", "hum", hum + random.uniform(0, 0.05) * _coloured(random, n, -3.0)
    gusts = 0.2 + np.abs(_slow(random, n, random.uniform(0.1, 0.5))) ** random.uniform(1, 2)
    yield "noise", "wind", gusts * _band(_coloured(random, n, -6.0), 30, 2.0 ** random.uniform(8, 11))
    drops = _pulses(random, n, lambda r: _drop(r), (0.002, 0.03))
    yield "noise", "rain", drops + random.uniform(0.02, 0.3) * _coloured(random, n, random.choice([0.0, -3.0]))
    waves = np.maximum(0, np.sin(2 * np.pi * t / random.uniform(5, 12) + _slow(random, n, 0.1))) ** 2
    yield "noise", "sea", (0.1 + waves) * _coloured(random, n, -3.0)
    revs = random.uniform(15, 90) * (1 + random.uniform(0, 0.4) * _slow(random, n, 0.2))
    angle = 2 * np.pi * np.cumsum(revs) / RATE
    engine = np.sum([random.uniform(0.2, 1) / k * np.sin(k * angle) for k in range(1, 16)], axis=0)
    yield "noise", "engine", engine + (0.3 + 0.7 * np.maximum(0, np.sin(angle))) * 0.5 * _coloured(random, n, -3.0)
    yield "noise", "clicks", _pulses(random, n, lambda r: r.standard_normal(int(r.integers(20, 300))), (0.02, 0.6))
    beat = random.uniform(0.3, 1.2)
    tick = _decay(random.uniform(0.003, 0.03)) * np.sin(2 * np.pi * random.uniform(500, 4000) * np.arange(4410) / RATE)
    metronome = np.zeros(n + len(tick))
    for start in range(0, n, int(beat * RATE)):
        metronome[start : start + len(tick)] += tick
    yield "noise", "metronome", metronome[:n] + 1e-4 * random.standard_normal(n)
    crackle = random.standard_normal(n) * (random.random(n) < random.uniform(1e-4, 3e-3))
    yield "noise", "crackle", _band(crackle, 300, 9000) + 0.01 * _coloured(random, n, -3.0)
    knocks = _pulses(random, n, lambda r: _thump(r), (0.2, 1.2))
    yield "noise", "knocks", knocks + 0.01 * _coloured(random, n, -3.0)
    quiet = 10.0 ** random.uniform(-4.2, -3.0)
    yield "silence", "dither", quiet * random.standard_normal(n)
    yield "silence", "room", quiet * _coloured(random, n, -6.0) + 0.3 * quiet * np.sin(2 * np.pi * mains * t)


def animals(random: Random, n: int) -> Iterator[tuple[str, str, Wave]]:
    """The same of what sounds like birds, dogs, crickets, frogs, whales and bees."""
    t = np.arange(n) / RATE
    room = random.uniform(0, 0.03) * _coloured(random, n, -3.0)
    yield "animal", "chirps", _pulses(random, n, _chirp, (0.05, random.uniform(0.3, 1.5))) + room
    yield "animal", "barks", _pulses(random, n, _bark, (0.2, random.uniform(0.6, 2.0))) + room
    rate, pitch = random.uniform(15, 60), random.uniform(2500, 6000)
    trill = np.maximum(0, np.sin(2 * np.pi * rate * t)) * (np.sin(2 * np.pi * random.uniform(0.3, 2) * t) > 0)
    yield "animal", "crickets", trill * np.sin(2 * np.pi * pitch * t) + room
    yield "animal", "frogs", _pulses(random, n, _croak, (0.2, 1.5)) + room
    yield "animal", "whale", _pulses(random, n, _moan, (0.5, 3.0)) + room
    wings = random.uniform(120, 260) * (1 + 0.05 * _slow(random, n, 1.0))
    buzz = (2 * np.cumsum(wings) / RATE) % 2 - 1
    yield "animal", "bees", buzz * (0.2 + np.abs(_slow(random, n, 0.5))) + room


def babble(random: Random, n: int) -> Iterator[tuple[str, str, Wave]]:
    """Speech without words: a glottal pulse train through formants that change from syllable to syllable."""
    pitch, tempo, size = random.uniform(80, 260), random.uniform(3, 6.5), random.uniform(0.85, 1.2)
    out = np.zeros(n)
    start = 0
    while start < n - RATE // 2:
        if random.random() < 0.12:
            start += int(random.uniform(0.25, 1.1) * RATE)
        length = int(RATE / tempo * random.uniform(0.6, 1.5))
        syllable = _syllable(random, length, pitch * random.uniform(0.8, 1.25), size)
        end = max(start, min(start + length, n))
        out[start:end] += syllable[: end - start]
        start += length
    yield "speech", "babble", out + random.uniform(0, 0.005) * _coloured(random, n, -3.0)


SYNTHESISED: tuple[tuple[Callable[[Random, int], Iterator[tuple[str, str, Wave]]], int], ...] = (
    (tones, 14),
    (noises, 14),
    (animals, 12),
    (babble, 40),
)


def _coloured(random: Random, n: int, slope: float) -> Wave:
    """Noise whose power changes by `slope` dB an octave."""
    spectrum = np.fft.rfft(random.standard_normal(n))
    frequencies = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20.0)
    shaped: Wave = np.fft.irfft(spectrum * (frequencies / 1000) ** (slope / 6.02), n)
    return shaped / np.std(shaped)


def _slow(random: Random, n: int, hertz: float) -> Wave:
    """A smooth random course with a spread of one."""
    points = random.standard_normal(max(4, int(n / RATE * hertz * 2) + 2))
    course: Wave = np.interp(np.linspace(0, len(points) - 1, n), np.arange(len(points)), points)
    return course


def _band(wave: Wave, low: float, high: float) -> Wave:
    filtered: Wave = sosfilt(butter(2, [low, high], "bandpass", fs=RATE, output="sos"), wave)
    return filtered


def _decay(seconds: float, n: int = 4410) -> Wave:
    return np.exp(-np.arange(n) / RATE / seconds)


def _pulses(random: Random, n: int, sound: Callable[[Random], Wave], gap: tuple[float, float]) -> Wave:
    """One sound after the other with random gaps in seconds between their beginnings."""
    out, start = np.zeros(n), 0
    while start < n:
        made = sound(random)[: n - start] * random.uniform(0.3, 1.0)
        out[start : start + len(made)] += made
        start += int(random.uniform(*gap) * RATE) + (len(made) if gap[0] > 0.04 else 1)
    return out


def _dtmf(random: Random, seconds: float) -> Wave:
    t = np.arange(int(seconds * RATE)) / RATE
    low, high = random.choice([697, 770, 852, 941]), random.choice([1209, 1336, 1477])
    return np.sin(2 * np.pi * low * t) + np.sin(2 * np.pi * high * t)


def _drop(random: Random) -> Wave:
    n = int(random.integers(60, 400))
    return _decay(random.uniform(5e-4, 3e-3), n) * random.standard_normal(n)


def _thump(random: Random) -> Wave:
    n = RATE // 4
    body = np.sin(2 * np.pi * random.uniform(60, 250) * np.arange(n) / RATE) * _decay(random.uniform(0.01, 0.06), n)
    return body + 0.5 * random.standard_normal(n) * _decay(0.005, n)


def _glide(random: Random, seconds: float, course: Sequence[float]) -> Wave:
    """A gliding tone through the frequencies of `course`, swelling and dying away."""
    n = int(seconds * RATE)
    frequency = np.interp(np.linspace(0, len(course) - 1, n), np.arange(len(course)), course)
    harmonics = random.uniform(0, 0.3, 2)
    angle = 2 * np.pi * np.cumsum(frequency) / RATE
    wave = np.sin(angle) + harmonics[0] * np.sin(2 * angle) + harmonics[1] * np.sin(3 * angle)
    return wave * np.sin(np.pi * np.arange(n) / n) ** 0.5


def _chirp(random: Random) -> Wave:
    notes = [
        _glide(random, random.uniform(0.03, 0.25), random.uniform(1800, 7500, int(random.integers(2, 5))).tolist())
        for _ in range(int(random.integers(1, 8)))
    ]
    return np.concatenate([np.pad(note, (0, int(random.uniform(0.01, 0.08) * RATE))) for note in notes])


def _bark(random: Random) -> Wave:
    n = int(random.uniform(0.1, 0.3) * RATE)
    pitch = random.uniform(150, 700) * (1 - 0.4 * np.linspace(-1, 1, n) ** 2)
    source = ((np.cumsum(pitch) / RATE) % 1) - 0.5 + 0.6 * random.standard_normal(n)
    low = random.uniform(300, 900)
    return _band(source * np.sin(np.pi * np.arange(n) / n) ** 0.5, low, low * random.uniform(2, 5))


def _croak(random: Random) -> Wave:
    n = int(random.uniform(0.2, 0.8) * RATE)
    pulses = np.maximum(0, np.sin(2 * np.pi * random.uniform(20, 80) * np.arange(n) / RATE)) ** 3
    low = random.uniform(300, 1500)
    return _band(pulses * random.standard_normal(n), low, low * 2) * np.sin(np.pi * np.arange(n) / n)


def _moan(random: Random) -> Wave:
    base = random.uniform(120, 900)
    return _glide(
        random, random.uniform(0.8, 4), (base * random.uniform(0.6, 1.8, int(random.integers(2, 5)))).tolist()
    )


def _syllable(random: Random, n: int, pitch: float, size: float) -> Wave:
    course = pitch * np.linspace(random.uniform(0.9, 1.15), random.uniform(0.8, 1.05), n)
    course *= 1 + 0.01 * random.standard_normal()
    phase = np.cumsum(course) / RATE
    voiced = np.diff(np.floor(phase), prepend=0.0) + 0.02 * random.standard_normal(n)
    vowel = size * np.array([random.uniform(280, 800), random.uniform(800, 2300), random.uniform(2300, 3200)])
    for formant, width in zip(vowel, (70, 100, 160), strict=True):
        radius = np.exp(-np.pi * width / RATE)
        voiced = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], voiced)
    voiced /= np.abs(voiced).max() + 1e-9
    out = voiced * np.sin(np.pi * np.linspace(0.05, 0.98, n)) ** 0.6
    if random.random() < 0.6:  # a consonant in front
        head = int(random.uniform(0.03, 0.12) * RATE)
        hiss = _band(random.standard_normal(n), 2.0 ** random.uniform(10.5, 12), 9000)
        out[:head] = random.uniform(0.05, 0.3) * hiss[:head] / (np.std(hiss) + 1e-9)
    return np.asarray(out)


def degraded(random: Random, wave: Wave) -> Wave:
    """What recordings meet: a room, a narrow band, some noise, another level; often nothing at all. Peak below one."""
    n = len(wave)
    wave = wave / (np.abs(wave).max() + 1e-12)
    if random.random() < 0.25:
        tail = int(random.uniform(0.1, 0.8) * RATE)
        echo = random.standard_normal(tail) * _decay(random.uniform(0.03, 0.3), tail)
        size = 1 << (n + tail - 1).bit_length()
        wet = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(echo, size), size)[:n]
        wave = wave + random.uniform(0.2, 1.0) * wet / (np.abs(wet).max() + 1e-12)
    if random.random() < 0.3:
        top = random.choice([3400, 4000, 8000, 11000, 16000])
        wave = sosfilt(butter(6, top, "lowpass", fs=RATE, output="sos"), wave)
    if random.random() < 0.15:
        wave = sosfilt(butter(2, 300, "highpass", fs=RATE, output="sos"), wave)
    if random.random() < 0.25:
        wave = wave + np.std(wave) * 10 ** (-random.uniform(20, 40) / 20) * random.standard_normal(n)
    return np.asarray(wave / (np.abs(wave).max() + 1e-12) * 10 ** (-random.uniform(0.5, 20) / 20))


def recorded(entry: Recordings, folder: Path, random: Random) -> Iterator[Wave]:
    """Clips of 8 to 30 s, each made of sounds of `entry` in random order with short pauses between them."""
    files = sorted(path for path in (folder / "usr" / "share").glob(entry.pattern) if _wanted(path, entry))
    if not files:
        return
    for _ in range(entry.clips):
        seconds, parts = random.uniform(12, 30), [np.zeros(0)]
        while sum(map(len, parts)) < seconds * RATE:
            sound = _decoded(files[int(random.integers(len(files)))])
            parts += [sound[: 30 * RATE], np.zeros(int(random.uniform(0.05, 0.9) * RATE))]
        yield np.concatenate(parts)[: int(seconds * RATE)]


def _wanted(path: Path, entry: Recordings) -> bool:
    name = path.name.casefold()
    if entry.source.startswith("lugaru"):
        is_animal = name.startswith(("bark", "growl", "hawk", "rabbit", "snarl"))
        return is_animal == (entry.label == "animal") and not name.startswith("music")
    if entry.label != "speech" and "_desc" in name:
        return False
    return "silence" not in path.parts and name.endswith((".g722", ".ogg", ".wav", ".oga", ".opus"))


def _decoded(path: Path) -> Wave:
    import av
    import soxr

    frames: list[Wave] = []
    with (
        suppress(av.error.FFmpegError),  # a damaged file gives what comes before the damage
        av.open(str(path), format="g722" if path.suffix == ".g722" else None) as file,
    ):
        stream = file.streams.audio[0]
        rate, channels, planar = stream.rate, stream.codec_context.channels, stream.codec_context.format.is_planar
        for frame in file.decode(stream):
            frames.append(frame.to_ndarray().astype(np.float64))
    if not frames:
        return np.zeros(0)
    samples = np.concatenate(frames, axis=1)
    mono = samples.mean(axis=0) if planar else samples.reshape(-1, channels).mean(axis=1)
    out: Wave = soxr.resample(mono, rate, RATE)
    return out / (np.abs(out).max() + 1e-12)


def spoken(random: Random) -> Iterator[tuple[str, Wave]]:
    """Source and samples of texts read by the synthesisers that are on PATH, each voice in several manners."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        for voice in VOICES["espeak"] if shutil.which("espeak-ng") else ():
            text = SENTENCES[voice[:2]]
            for speed, pitch in random.integers((110, 20), (210, 80), (4, 2)):
                command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(out), text]
                subprocess.run(command, check=True, capture_output=True)
                yield f"espeak-{voice[:2]}", _resampled(*soundfile.read(out))
        for voice in VOICES["flite"] if shutil.which("flite") else ():
            for stretch in random.uniform(0.8, 1.3, 4):
                command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.2f}", "-t", SENTENCES["en"]]
                subprocess.run([*command, "-o", str(out)], check=True, capture_output=True)
                yield f"flite-{voice}", _resampled(*soundfile.read(out))


def _resampled(samples: Wave, rate: int) -> Wave:
    import soxr

    found: Wave = soxr.resample(samples, rate, RATE)
    return found[: 30 * RATE]


def clips(folder: Path | None, seed: int) -> Iterator[tuple[str, str, Wave]]:
    """Label, source and samples of the whole corpus."""
    for place, (sounds, times) in enumerate(SYNTHESISED):
        for number in range(times):
            random = np.random.default_rng([seed, place, number])
            yield from sounds(random, int(random.uniform(8, 30) * RATE))
    random = np.random.default_rng([seed, 100])
    for source, wave in spoken(random):
        yield "speech", source, wave
    for place, entry in enumerate(RECORDINGS if folder is not None else ()):
        for wave in recorded(entry, folder or Path(), np.random.default_rng([seed, 200, place])):
            yield entry.label, entry.source, wave
    for number in range(SONGS):  # so that plain synthesised music counts as music, short pieces too
        end = int((12.0 if number % 2 else 5.0 + number / 4) * RATE)
        for style in (lambda seed: song(seed, 12.0), *STYLES.values()):
            yield "music", "songs", style(1000 + number)[:end].mean(axis=1).astype(np.float64)


def write(out: Path, folder: Path | None, seed: int) -> int:
    """Write the corpus below `out`; how many files."""
    import soundfile

    count = 0
    for count, (label, source, wave) in enumerate(clips(folder, seed), 1):
        random = np.random.default_rng([seed, 300, count])
        level = np.abs(wave).max() if label == "silence" else 1.0  # silence stays as quiet as it is
        path = out / label / source / f"{count:04}.wav"
        if path.exists():  # an interrupted run goes on
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.clip(degraded(random, wave) * level, -1, 1), RATE, subtype="PCM_16")
    return count


def main(words: list[str] | None = None) -> int:
    """Write the corpus; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.content_audio", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the files")
    parser.add_argument("--recordings", type=Path, help="folder that the packages of RECORDINGS are unpacked into")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(words)
    print(f"{write(chosen.out, chosen.recordings, chosen.seed)} files below {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
