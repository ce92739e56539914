"""STFT and mel filter banks of the networks' front ends: log-mels of all networks and of the plots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from music_reclass.extractors.windows import circular, finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale = Literal["slaney", "kaldi"]

_BLOCK = 1024  # frames transformed at once: they stay in the cache
_SMALL_BLOCK = 32
_EPSILON = np.float32(1.1920929e-07)  # of float32: both models keep the logarithm of silence finite by it


@dataclass(frozen=True, slots=True)
class LogMel:
    """The parameters of one model's front end: lengths in samples, frequencies in Hz.

    `slaney`: centred frames, the edges reflected, and filters of area one, as librosa computes it. `kaldi`: frames
    inside the signal without their mean, pre-emphasis, and filters of height one, as torchaudio's fbank computes it.
    """

    scale: Scale
    rate: int
    size: int  # of a frame
    hop: int
    fft: int
    mels: int
    low: float
    high: float
    frames: int  # that the network takes
    mean: float  # of the training set's log-mels
    spread: float


JMLA = LogMel("slaney", 16000, 400, 160, 400, 80, 50.0, 8000.0, frames=2992, mean=-4.5, spread=4.5)
JMLA_SAMPLES = JMLA.frames * JMLA.hop  # 29.92 s
AST = LogMel("kaldi", 16000, 400, 160, 512, 128, 20.0, 8000.0, frames=1024, mean=-4.2677393, spread=2 * 4.5689974)
# Of the Discogs networks, which share it but for the last two numbers: those are MAEST's.
MAEST = LogMel(
    "slaney", 16000, 512, 256, 512, 96, 0.0, 8000.0, 1876, mean=2.06755686098554, spread=2 * 1.268292820667291
)
MAEST_SAMPLES = 30 * MAEST.rate  # 1876 frames
_LARGE_BLOCK = 8192  # frames of a mel that are computed at once: an hour's spectrum would take a quarter of a gigabyte
AST_SAMPLES = 10 * AST.rate  # the length of AudioSet's clips, 998 frames; the rest was empty in training too
EFFICIENTAT = LogMel("kaldi", 32000, 800, 320, 1024, 128, 0.0, 15000.0, frames=1000, mean=-4.5, spread=5.0)
EFFICIENTAT_SAMPLES = EFFICIENTAT.frames * EFFICIENTAT.hop  # 10 s


def jmla_input(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised log-mel, (80, 2992): cut after 29.92 s, or repeated in a circle around the middle if shorter."""
    return centred_in_circle(_normalised(log_mel(samples, JMLA), JMLA).T, JMLA.frames)


def ast_input(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised log-mel, (1024, 128), of at least 400 samples at 16 kHz; cut or filled with zeros."""
    filled = np.zeros((AST.frames, AST.mels), dtype=np.float32)
    mel = log_mel(samples, AST)[: AST.frames]
    filled[: len(mel)] = mel
    return _normalised(filled, AST)


def efficientat_input(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised log-mel, (128, 1 + (n - 1) // 320), of more than 513 samples at 32 kHz.

    Frames are centred on the signal after pre-emphasis. Its logarithm has a floor 50 dB below full scale, so float32
    is exact enough for the transform.
    """
    front, emphasis = EFFICIENTAT, np.float32(_EMPHASIS)
    # The window of 800 lies in the middle of frames of 1024; the zeros around it need not be transformed from there.
    frames = centred_frames(samples[1:] - emphasis * samples[:-1], front.fft, front.hop)
    margin = (front.fft - front.size) // 2
    frames = frames[:, margin : margin + front.size]
    window = hann(front.size, periodic=False).astype(np.float32)
    filters = mel_filters(front.scale, front.rate, front.fft, (front.mels, front.low, front.high)).astype(np.float32)
    mel = np.empty((len(frames), front.mels), dtype=np.float32)
    for first in range(0, len(frames), _SMALL_BLOCK):
        spectrum = np.fft.rfft(frames[first : first + _SMALL_BLOCK] * window, n=front.fft, axis=-1)
        mel[first : first + _SMALL_BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ filters
    mel += np.float32(1e-5)
    return np.ascontiguousarray(_normalised(np.log(mel, out=mel), front).T)


def maest_input(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised log-mel, (1876, 96), of 480,000 samples at 16 kHz."""
    return _normalised(discogs_mel(samples), MAEST)


def discogs_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """log10(1 + 10^4 mel power), (1 + n // 256, 96), of n samples at 16 kHz, as Discogs-EffNet and MAEST learned it.

    Centred frames, zeros beyond the ends, a symmetric window, Slaney's filters of area one: essentia's
    TensorflowInputMusiCNN (docs/reference/discogs.md compares them), which is another mel than MusiCNN has here.
    """
    front = MAEST
    filters = mel_filters(front.scale, front.rate, front.fft, (front.mels, front.low, front.high)).astype(np.float32)
    padded = np.pad(samples, front.size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, front.size)[:: front.hop]
    window = hann(front.size, periodic=False)
    blocks = (frames[first : first + _LARGE_BLOCK] for first in range(0, len(frames), _LARGE_BLOCK))
    mel = np.concatenate([power(block, window, front.fft) @ filters for block in blocks])
    return np.asarray(np.log10(1 + 10_000 * mel), dtype=np.float32)


def _normalised(mel: NDArray[np.float32], front: LogMel) -> NDArray[np.float32]:
    result: NDArray[np.float32] = (mel - np.float32(front.mean)) / np.float32(front.spread)
    return result


def centred_in_circle(mel: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """(bands, n) as exactly `frames` columns: the first ones, or, where there are fewer, repeated on both sides."""
    missing = frames - mel.shape[1]
    if missing <= 0:
        return np.ascontiguousarray(mel[:, :frames])
    return circular(np.roll(mel, missing // 2 % mel.shape[1], axis=1), frames)


def log_mel(samples: NDArray[np.float32], front: LogMel) -> NDArray[np.float32]:
    """Natural log of the mel power, (frames, mels) float32, of mono float32 at the front end's rate.

    Slaney's takes any length (fewer samples than a frame are repeated), Kaldi's at least one frame.
    """
    filters = mel_filters(front.scale, front.rate, front.fft, (front.mels, front.low, front.high))
    if front.scale == "slaney":
        frames = centred_frames(circular_to(samples, front.size), front.size, front.hop)
        mel = power(frames, hann(front.size).astype(np.float32), front.fft) @ filters.astype(np.float32)
        return np.asarray(np.log(mel + _EPSILON), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), front.size)[:: front.hop]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    mel = power(frames - _EMPHASIS * before, hann(front.size, periodic=False), front.fft) @ filters
    return np.asarray(np.log(np.maximum(mel, _EPSILON)), dtype=np.float32)


_EMPHASIS = 0.97  # Kaldi's


def circular_to(samples: NDArray[np.float32], least: int) -> NDArray[np.float32]:
    """The samples, repeated to `least` of them where there are fewer."""
    return samples if len(samples) >= least else circular(samples, least)


def centred_frames(samples: NDArray[Any], size: int, hop: int) -> NDArray[Any]:
    """Frames around every `hop`-th sample, the edges reflected: (..., n) samples give (..., 1 + n // hop, size).

    Needs more samples than half a frame.
    """
    edges = [(0, 0)] * (samples.ndim - 1) + [(size // 2, size // 2)]
    padded = np.pad(samples, edges, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[..., ::hop, :]


def power(frames: NDArray[Any], window: NDArray[Any], fft_size: int) -> NDArray[Any]:
    """|FFT|^2 of frames (..., n, size): (..., n, bins) in their type. The scaling is torch.stft's and librosa's: none.

    Transformed in float64, as float32 blurs what is 60 dB below the loudest bin of its frame.
    """
    window = window.astype(np.float64)
    result = np.empty((*frames.shape[:-1], fft_size // 2 + 1), dtype=frames.dtype)
    for first in range(0, frames.shape[-2], _BLOCK):
        spectrum = np.fft.rfft(frames[..., first : first + _BLOCK, :] * window, n=fft_size, axis=-1)
        result[..., first : first + _BLOCK, :] = spectrum.real**2 + spectrum.imag**2
    return result


def hann(size: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """The Hann window, shape (size,); periodic as for spectra, else symmetric as Kaldi has it."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size if periodic else size - 1)))


@lru_cache(maxsize=8)
def mel_filters(scale: Scale, rate: int, fft_size: int, bands: tuple[int, float, float]) -> NDArray[np.float64]:
    """Triangular filters, (bins, mels); `bands`: how many, and the lowest and highest frequency in Hz.

    Slaney's are triangles over Hertz of area one, as librosa.filters.mel; Kaldi's are over mels, of height one.
    """
    mels, low, high = bands
    bins = np.arange(fft_size // 2 + 1) * rate / fft_size
    if scale == "slaney":
        edges = _slaney_hertz(np.linspace(_slaney_mel(low), _slaney_mel(high), mels + 2))
    else:
        edges, bins = np.linspace(_kaldi_mel(low), _kaldi_mel(high), mels + 2), _kaldi_mel(bins)
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if scale == "slaney":
        filters *= 2.0 / (edges[2:] - edges[:-2])
    filters.flags.writeable = False
    return np.asarray(filters)


# Slaney's scale is linear below 1 kHz (200/3 Hz a mel) and logarithmic above (27 mels for a factor of 6.4).
def _slaney_mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000)) / float(np.log(6.4))


def _slaney_hertz(mel: NDArray[Any]) -> NDArray[Any]:
    above: NDArray[Any] = 1000 * np.exp(np.log(6.4) / 27 * (mel - 15))
    return np.where(mel >= 15, above, mel * 200 / 3)


def _kaldi_mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


PLOT_FFT = 2048  # samples of a frame
PLOT_HOP = 1024
PLOT_MELS = 128
PLOT_LOWEST, PLOT_HIGHEST = 40.0, 16000.0  # Hz; above lies little that a plot could show
PLOT_FLOOR = -80.0  # dB
_SILENCE = 1e-10


def plot_spectrogram(samples: NDArray[np.float32], rate: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Levels (128, frames) in [PLOT_FLOOR, 0] dB below the loudest, and the middle of each band in Hz, (128,).

    Of mono float32 `samples`, at least one, at a `rate` of 32 to 48 kHz; silence is all at the floor.
    """
    frames = centred_frames(circular_to(finite(samples), PLOT_FFT), PLOT_FFT, PLOT_HOP)
    filters = mel_filters("slaney", rate, PLOT_FFT, (PLOT_MELS, PLOT_LOWEST, PLOT_HIGHEST)).astype(np.float32)
    mel = power(frames, hann(PLOT_FFT).astype(np.float32), PLOT_FFT) @ filters
    loudest = max(float(mel.max()), _SILENCE)
    levels = 10 * np.log10(np.maximum(mel, _SILENCE * loudest) / loudest)
    if loudest <= _SILENCE:
        levels = np.full_like(levels, PLOT_FLOOR)
    hertz = np.arange(PLOT_FFT // 2 + 1) * rate / PLOT_FFT @ filters / filters.sum(axis=0)
    return np.ascontiguousarray(np.clip(levels, PLOT_FLOOR, 0.0).T, dtype=np.float32), hertz
