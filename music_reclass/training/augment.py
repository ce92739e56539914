"""Augmentations of audio for training, and their vectors: computed once and stored."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.extract import READ_BATCH
from music_reclass.classification.reading import prepare_worker
from music_reclass.errors import NothingToDo, TrackError
from music_reclass.extractors.audio.pcm import int16
from music_reclass.extractors.memory import workers_for
from music_reclass.features.library import AugmentedVectors
from music_reclass.models.dataset import Augmentations
from music_reclass.utils.progress import progress_bar
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, Vector
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import StopRequest

Samples = NDArray[np.float32]
Random = np.random.Generator

_WINDOW, _HOP = 2048, 512


def augment(name: str, samples: Samples, rate: int, source: str) -> Samples:
    """The augmentation `name` (a key of AUGMENTATIONS) of mono `samples` at `rate` Hz, in int16 steps as decoded sound.

    What is random (how much slower, which excerpt) is drawn by `name` and `source`, the path of the file: equal calls
    give equal samples.
    """
    seed = int.from_bytes(hashlib.sha256(f"{name}\0{source}".encode("utf-8", "surrogateescape")).digest()[:8], "big")
    changed = AUGMENTATIONS[name](samples, rate, np.random.default_rng(seed))
    return np.asarray(int16(np.array(changed)) / np.float32(32768), dtype=np.float32)


def stretched(samples: Samples, rate: int, random: Random) -> Samples:
    """Faster or slower by up to a tenth, at the same pitch."""
    return _vocoder(samples, float(random.uniform(0.9, 1.1)))


def pitched(samples: Samples, rate: int, random: Random) -> Samples:
    """One or two semitones up or down, at the same tempo."""
    import soxr

    factor = 2.0 ** (float(random.choice([-2, -1, 1, 2])) / 12)
    slower = _vocoder(samples, 1 / factor)
    return np.asarray(soxr.resample(slower, rate * factor, rate), dtype=np.float32)[: len(samples)]


def noisy(samples: Samples, rate: int, random: Random) -> Samples:
    """White noise, 20 to 35 dB below the music."""
    power = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    level = power * 10 ** (-float(random.uniform(20, 35)) / 20)
    return samples + (level * random.standard_normal(len(samples))).astype(np.float32)


def gained(samples: Samples, rate: int, random: Random) -> Samples:
    """Quieter by 3 to 12 dB."""
    return np.asarray(samples * np.float32(10 ** (-float(random.uniform(3, 12)) / 20)), dtype=np.float32)


def low_passed(samples: Samples, rate: int, random: Random) -> Samples:
    """Nothing above 8 or 11 kHz, as from files of 16 or 22.05 kHz."""
    import soxr

    low = int(random.choice([16000, 22050]))
    there = soxr.resample(samples, rate, low)
    return np.asarray(soxr.resample(there, low, rate), dtype=np.float32)[: len(samples)]


def excerpt(samples: Samples, rate: int, random: Random) -> Samples:
    """Half of it, from anywhere, but at least five seconds."""
    length = max(len(samples) // 2, min(len(samples), 5 * rate))
    start = int(random.integers(0, len(samples) - length + 1))
    return samples[start : start + length]


def compressed(samples: Samples, rate: int, random: Random) -> Samples:
    """There and back through a mono MP3 of 64 kb/s."""
    import av

    buffer = io.BytesIO()
    pcm = int16(np.array(samples))
    with av.open(buffer, "w", format="mp3") as output:
        stream: Any = output.add_stream("libmp3lame", rate=rate, options={"b": "64k"})
        stream.codec_context.layout, stream.codec_context.format = "mono", "s16p"
        stream.codec_context.bit_rate = 64000
        for start in range(0, len(pcm), 65536):
            part = np.ascontiguousarray(pcm[start : start + 65536].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    buffer.seek(0)
    parts: list[NDArray[Any]] = []
    with av.open(buffer, "r", format="mp3") as sound:
        parts = [frame.to_ndarray().reshape(-1) for frame in sound.decode(audio=0)]
    back = np.concatenate(parts)
    return np.asarray(back if back.dtype.kind == "f" else back / 32768.0, dtype=np.float32)[: len(samples)]


AUGMENTATIONS: dict[str, Callable[[Samples, int, Random], Samples]] = {
    "stretch": stretched,
    "pitch": pitched,
    "noise": noisy,
    "gain": gained,
    "mp3": compressed,
    "lowpass": low_passed,
    "excerpt": excerpt,
}


def _vocoder(samples: Samples, speed: float) -> Samples:
    """The phase vocoder (Flanagan and Golden, 1966): `speed` times as fast, at the same pitch."""
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    padded = np.pad(samples, _WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    spectra = np.fft.rfft(frames * window, axis=1)
    steps = np.arange(0, len(spectra) - 1, speed)
    before = steps.astype(int)
    share = (steps - before)[:, None]
    loudness = (1 - share) * np.abs(spectra[before]) + share * np.abs(spectra[before + 1])
    expected = 2 * np.pi * _HOP * np.arange(_WINDOW // 2 + 1) / _WINDOW
    turn = np.angle(spectra[before + 1]) - np.angle(spectra[before]) - expected
    turn -= 2 * np.pi * np.round(turn / (2 * np.pi))
    phase = np.angle(spectra[0]) + np.cumsum(np.vstack([np.zeros_like(expected), (expected + turn)[:-1]]), axis=0)
    back = np.fft.irfft(loudness * np.exp(1j * phase), axis=1) * window
    out = np.zeros((len(steps) - 1) * _HOP + _WINDOW)
    norm = np.zeros_like(out)
    for number, frame in enumerate(back):
        out[number * _HOP : number * _HOP + _WINDOW] += frame
        norm[number * _HOP : number * _HOP + _WINDOW] += window * window
    out /= np.maximum(norm, 1e-3)
    out *= np.sqrt(np.mean(np.square(samples, dtype=np.float64)) / max(float(np.mean(out * out)), 1e-12))  # no quieter
    start = round(_WINDOW / speed)
    return out[start : start + max(1, round(len(samples) / speed))].astype(np.float32)


def vectors_of_augmentations(kind: FeatureKind, task: tuple[str, tuple[str, ...]]) -> dict[str, Vector]:
    """The vectors of `kind` of one file's augmentations by name, for worker processes; `task` is its path and the names
    wanted. Raises TrackError."""
    from music_reclass.extractors.audio import load as audio
    from music_reclass.extractors.registry import extractor

    path, names = task
    extract = extractor(kind.name, kind.excerpt)
    clip = audio.load(Path(path), kind.excerpt, extract.rate)
    audio.check_usable(clip)
    return {name: extract.vector(augment(name, clip.samples, extract.rate, path)) for name in names}


def augmented(
    database: Database,
    paths: Sequence[str],
    names: Sequence[str],
    kind: FeatureKind,
    *,
    settings: Settings,
    stop: StopRequest,
) -> Augmentations:
    """The augmentations `names` of the files at `paths`, in their order; stored vectors are used, the rest extracted.

    The files must be tracks of `database`. An augmentation that cannot be made is NaN: `Augmentations.completed` puts
    the file's clean vector there. NothingToDo when `stop` is set before all are there.
    """
    store = AugmentedVectors(database)
    real = {path: os.path.realpath(path) for path in paths}
    known = {name: store.of(real.values(), name, kind) for name in names}
    wanted = [(path, tuple(name for name in names if path not in known[name])) for path in dict.fromkeys(real.values())]
    todo = [task for task in wanted if task[1]]

    def tasks() -> Iterator[tuple[str, tuple[str, ...]]]:
        for task in todo:
            if stop:
                return
            yield task

    fresh: dict[str, dict[str, Vector]] = {}
    jobs = workers_for(settings)
    with (
        progress_bar("augmenting", len(todo)) as progress,
        WorkerPool(
            partial(vectors_of_augmentations, kind),
            jobs,
            settings.timeout * 2,
            prepare_worker,
            memory=settings.worker_bytes,
        ) as pool,  # fmt: skip
    ):
        for (path, _), answer in pool.map(tasks()):
            progress.advance(1, os.path.basename(path)[:40])
            if not isinstance(answer, TrackError):
                fresh[path] = answer
            if len(fresh) >= READ_BATCH:
                store.save(fresh, kind)
                fresh = {}
    store.save(fresh, kind)
    if stop:
        raise NothingToDo("Stopped as you asked; what was extracted is kept: the same command goes on from here.")
    return _augmentations(store, [real[path] for path in paths], names, kind)


def _augmentations(
    store: AugmentedVectors, paths: Sequence[str], names: Sequence[str], kind: FeatureKind
) -> Augmentations:
    found = {name: store.of(paths, name, kind) for name in names}
    blank = np.full(kind.dimension, np.nan, dtype=np.float32)
    rows = [[found[name].get(path, blank) for name in names] for path in paths]
    return Augmentations(tuple(names), np.array(rows, dtype=np.float32))
