"""How well `bandwidth_of` and `is_band_limited` know from the 518 features alone that a recording was cut off.

    python benchmarks/bandwidth.py [TABLE.npz AUGMENTATIONS.npz]

On the training table and its degraded versions (augmentations lp16: resampled to 16 kHz and back; lp22: 22.05 kHz): the
share called band-limited, and how far the bandwidth lies from the smaller one of the version's limit and the
recording's own. Then on the real clips of ../shared/data: as they are, resampled to 16 and 22.05 kHz and back, and as
MP3 of 16 kHz mono at 40 kb/s.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from music_reclass.extractors.audio.load import load
from music_reclass.extractors.fma518 import Fma518, bandwidth_of, is_band_limited

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LIMITS = {"lp16": 8000.0, "lp22": 11025.0}


def table(rows: Path, augmentations: Path) -> None:
    """The figures of a training table and its degraded versions."""
    with np.load(rows) as clean, np.load(augmentations) as degraded:
        own, names = clean["fma518"], clean["dataset"]
        versions = {str(name): degraded["fma518"][:, place] for place, name in enumerate(degraded["views"])}
    cut = is_band_limited(own)
    for name in np.unique(names):
        print(
            f"{name:<10} {cut[names == name].mean():6.1%} of {np.sum(names == name)} clips are band-limited as they are"
        )
    print(f"the bandwidths of these: {np.percentile(bandwidth_of(own[cut]), (10, 50, 90)).round(-2)} Hz (10, 50, 90 %)")
    quiet = ~cut & (bandwidth_of(own) < 9000)
    print(f"{quiet.mean():.1%} have nothing to speak of above 9 kHz without a steep edge: they fade out\n")
    print("version    band-limited, of those that are not as they are (and have sound above 9 kHz)   bandwidth off by")
    for name, version in {"clean": own, **versions}.items():
        wide = is_band_limited(version)[~cut].mean(), is_band_limited(version)[~cut & ~quiet].mean()
        expected = np.minimum(bandwidth_of(own), LIMITS.get(name, np.inf))
        off = np.percentile(np.abs(bandwidth_of(version) / expected - 1), (50, 90))
        print(
            f"{name:<10} {wide[0]:6.1%} ({wide[1]:.1%})   {off[0]:.1%} (half of the clips), {off[1]:.1%} (nine in ten)"
        )


def clips(folder: Path) -> None:
    """The figures of the real clips, degraded here."""
    import soxr

    made = Fma518("mid30")
    rows: dict[str, list[np.ndarray]] = {}
    for path in [*sorted((DATA / "golden").glob("*.flac")), *sorted((DATA / "fma" / "clips").glob("*.mp3"))]:
        samples = load(path, "mid30", 44100).samples
        versions = {"as they are": samples}
        for rate in (16000, 22050):
            low = soxr.resample(samples, 44100, rate)
            versions[f"{rate} Hz and back"] = soxr.resample(low, rate, 44100)
        mp3(folder / "low.mp3", soxr.resample(samples, 44100, 16000))
        versions["MP3, 16 kHz, 40 kb/s"] = load(folder / "low.mp3", "mid30", 44100).samples
        for name, version in versions.items():
            rows.setdefault(name, []).append(made.vector(np.round(version * 32768) / np.float32(32768)))
    print()
    for name, vectors in rows.items():
        limited = is_band_limited(np.stack(vectors))
        median = np.median(bandwidth_of(np.stack(vectors)))
        print(f"{name:<22} {limited.sum():2} of {len(limited)} clips band-limited, bandwidth {median:6.0f} Hz (median)")


def mp3(path: Path, samples: np.ndarray) -> None:
    """Write mono samples at 16 kHz as an MP3 of 40 kb/s."""
    import av

    with av.open(str(path), "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=16000)
        stream.codec_context.layout, stream.codec_context.format = "mono", "s16p"
        stream.codec_context.bit_rate = 40000
        pcm = np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
        for start in range(0, len(pcm), 1152):
            frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 1152], format="s16p", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[1:]]
    training = DATA / "training"
    table(*(given or (training / "genre_clips.npz", training / "genre_clips_views.npz")))
    with tempfile.TemporaryDirectory() as temporary:
        clips(Path(temporary))
