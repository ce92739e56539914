"""The plot of an explanation: spectrogram of the excerpt, and the first stage's votes over time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import SkipTrack, UsageError
from music_reclass.extractors.mel import PLOT_FLOOR, plot_spectrogram
from music_reclass.utils.lazy import require
from music_reclass.utils.words import ellipsis

if TYPE_CHECKING:
    from music_reclass.classification.voter import Stage
    from music_reclass.domain import Vector, Vote

EXCERPT = 30.0  # seconds of the excerpt that decides
_SHORTEST_FILE = 45.0  # below this no two windows of 30 s would differ much
_SHORT_WINDOW, _SHORT_STEP = 10.0, 2.5
_LEAST_STEP = 5.0
MOST = 24


@dataclass(frozen=True, slots=True)
class WindowVotes:
    """The votes of one stage over a file, and the sound of the excerpt that decides.

    `starts` are the seconds at which the windows of `length` seconds begin; a silent window has no vote. `excerpt`:
    its begin and end, seconds; `samples`, mono float32 at `rate` Hz, are its sound. `illustration` says
    that the windows are shorter than what the stage was trained on.
    """

    stage: str
    starts: tuple[float, ...]
    length: float
    votes: tuple[Vote | None, ...]
    duration: float
    excerpt: tuple[float, float]
    samples: NDArray[np.float32]
    rate: int

    @property
    def illustration(self) -> bool:
        """Whether the windows are shorter than the excerpts that the stage was trained on."""
        return self.length < EXCERPT


def windows(duration: float) -> tuple[float, tuple[float, ...]]:
    """The length of the windows and the seconds at which they begin, for a file of `duration` seconds.

    Windows of 30 s, at most 24 of them; of 10 s for files below 45 s.
    """
    short = duration < _SHORTEST_FILE
    length = min(_SHORT_WINDOW, duration) if short else EXCERPT
    room = duration - length
    step = max(_SHORT_STEP if short else _LEAST_STEP, room / (MOST - 1))
    count = 1 + int(room / step + 1e-6)
    first = (room - (count - 1) * step) / 2
    return length, tuple(first + number * step for number in range(count))


def window_votes(path: Path, stage: Stage) -> WindowVotes:
    """The votes of `stage` over the file at `path`; the stage needs one kind of vector; raises TrackError.

    Of files longer than an hour the middle hour is taken.
    """
    from music_reclass.extractors.audio import load as audio
    from music_reclass.extractors.registry import extractor

    (kind,) = stage.kinds
    made = extractor(kind.name, kind.excerpt)
    stage.require(made.kind)
    clip = audio.load(path, "full", made.rate)
    audio.check_usable(clip)
    seconds = len(clip.samples) / clip.rate
    skipped = max(0.0, (clip.duration - seconds) / 2)
    length, starts = windows(seconds)
    vectors: dict[int, Vector] = {}
    for number, start in enumerate(starts):
        first = round(start * clip.rate)
        piece = clip.samples[first : first + round(length * clip.rate)]
        try:
            audio.check_usable(audio.Clip(piece, clip.rate, length, clip.rate, 1, ""))
        except SkipTrack:
            continue
        vectors[number] = made.vector(piece)
    votes = dict(zip(vectors, stage.predict(np.stack(list(vectors.values()))), strict=True)) if vectors else {}
    begin = max(0.0, (seconds - EXCERPT) / 2)
    end = min(seconds, begin + EXCERPT)
    return WindowVotes(
        stage.name,
        tuple(skipped + start for start in starts),
        length,
        tuple(votes.get(number) for number in range(len(starts))),
        clip.duration,
        (skipped + begin, skipped + end),
        clip.samples[round(begin * clip.rate) : round(end * clip.rate)],
        clip.rate,
    )


ENDINGS = (".png", ".svg", ".pdf")
# Okabe and Ito's colours, which the colour-blind can tell apart, without yellow, which white paper swallows.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_HERTZ = (200, 500, 1000, 2000, 5000, 10000)
_DASHES: tuple[Any, ...] = ((0, (5, 3)), (0, (1, 2)))
_LEGIBLE = 0.1  # a genre that is never likelier than this has no line
_GREY = "0.35"
_HEADING: dict[str, Any] = {"loc": "left", "fontsize": 10, "color": _GREY}
_TITLE, _VERDICT = 84, 112  # characters that have room over the picture
_CJK = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR",
    "Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAexGothic", "TakaoGothic",
    "NanumGothic", "Unifont", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "Arial Unicode MS",
)  # fmt: skip
_LEFT, _WIDE = 0.085, 0.73  # of the figure; what is right of it holds the legends


def check_ending(path: Path) -> None:
    """UsageError unless `path` ends like a picture: music must not be written over by a slip."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path.name} does not end in {' or '.join(ENDINGS)}; give the picture such a name.")
    require("matplotlib", extra="plots")


def draw(
    over_time: WindowVotes, title: str, verdict: str, *, levels: Sequence[tuple[float, str]] = (), ending: str = ".png"
) -> bytes:
    """The picture as a file that ends in `ending`: `.png`, `.svg` or `.pdf`. MissingExtra without matplotlib.

    `title` and `verdict` stand over it; `levels` are drawn among the votes: (probability, words).
    """
    import io

    matplotlib: Any = require("matplotlib", extra="plots")
    figures: Any = require("matplotlib.figure", extra="plots")
    style = {
        "text.parse_math": False,  # a $ in a file name is a $
        "font.family": ["DejaVu Sans", *_cjk_fonts()],
        "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _GREY,
    }  # fmt: skip
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks: a box stands for them
        figure = figures.Figure(figsize=(10, 6.8), dpi=130)
        figure.text(_LEFT, 0.965, ellipsis(title, _TITLE), fontsize=13, fontweight="bold", va="center")
        figure.text(_LEFT, 0.925, ellipsis(verdict, _VERDICT), fontsize=11, va="center")
        _sound(figure, over_time)
        _votes(figure.add_axes((_LEFT, 0.085, _WIDE, 0.37)), over_time, levels)
        content = io.BytesIO()
        figure.savefig(content, format=ending.lower().removeprefix("."), metadata=origin(ending))
    return content.getvalue()


def origin(ending: str) -> dict[str, str]:
    """The metadata of a picture, by which it may be written over later (`cli.output`)."""
    return {"Software" if ending.lower() == ".png" else "Creator": "made by reclass"}


def _cjk_fonts() -> list[str]:
    """Installed fonts with Chinese, Japanese and Korean letters, for what the first font lacks."""
    manager: Any = require("matplotlib.font_manager", extra="plots")
    installed = {font.name for font in manager.fontManager.ttflist}
    return [name for name in _CJK if name in installed]


def lines(over_time: WindowVotes) -> list[tuple[str, list[float]]]:
    """The genres that get a line, with their probability in each window (NaN in silence), the likeliest first."""
    known = [vote for vote in over_time.votes if vote is not None]
    if not known:
        return []
    mean = {name: sum(vote.probabilities[name] for vote in known) for name in known[0].probabilities}
    first = {vote.genre for vote in known}
    ranked = sorted(mean, key=lambda name: (name not in first, -mean[name]))
    peak = {name: max(vote.probabilities[name] for vote in known) for name in mean}
    chosen = [name for name in ranked if peak[name] >= _LEGIBLE][: len(_COLOURS)]
    chosen.sort(key=lambda name: -mean[name])
    return [
        (name, [float("nan") if vote is None else vote.probabilities[name] for vote in over_time.votes])
        for name in chosen
    ]


def _sound(figure: Any, over_time: WindowVotes) -> None:
    axes = figure.add_axes((_LEFT, 0.565, _WIDE, 0.3))
    spectrum, bands = plot_spectrogram(over_time.samples, over_time.rate)
    begin, end = over_time.excerpt
    image = axes.imshow(
        spectrum, origin="lower", aspect="auto", cmap="magma", vmin=PLOT_FLOOR, vmax=0.0,
        extent=(begin, end, -0.5, len(bands) - 0.5), interpolation="nearest",
    )  # fmt: skip
    rows = np.interp(_HERTZ, bands, np.arange(len(bands)))  # from the bottom
    axes.set_yticks(list(rows), [f"{hertz:,}" for hertz in _HERTZ])
    axes.set_ylabel("frequency, Hz")
    axes.set_xlabel("time in the file, seconds")
    axes.set_title(f"the sound of the {end - begin:.0f} s that decide", **_HEADING)
    bar = figure.colorbar(image, cax=figure.add_axes((_LEFT + _WIDE + 0.015, 0.565, 0.014, 0.3)), ticks=(0, -40, -80))
    bar.set_ticklabels(("loudest", "-40 dB", "-80 dB"))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=9)


def _votes(axes: Any, over_time: WindowVotes, levels: Sequence[tuple[float, str]]) -> None:
    begin, end = over_time.excerpt
    if end - begin < over_time.duration - 1.0:
        axes.axvspan(begin, end, color="0.92", zorder=-1, linewidth=0)
        axes.text((begin + end) / 2, 1.01, "decides", ha="center", va="bottom", fontsize=9, color=_GREY)
    middles = np.array(over_time.starts) + over_time.length / 2
    for (name, values), colour, marker in zip(lines(over_time), _COLOURS, _MARKERS, strict=False):
        axes.plot(middles, values, color=colour, marker=marker, markersize=5, linewidth=1.8, label=name, zorder=3)
    for (level, words), dashes in zip(levels, _DASHES, strict=False):
        axes.axhline(level, color=_GREY, linewidth=1.2, linestyle=dashes, zorder=1, label=words)
    axes.set(xlim=(0, over_time.duration), ylim=(0, 1), ylabel="probability")
    axes.set_yticks((0, 0.25, 0.5, 0.75, 1))
    axes.set_xlabel(f"time in the file, seconds (a point stands in the middle of its {over_time.length:.0f} s)")
    note = f"votes of the first stage on each {over_time.length:.0f} s"
    if over_time.illustration:
        note += f": an illustration, as it was trained on 30 s and is less reliable on {over_time.length:.0f} s"
    axes.set_title(note, **_HEADING)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.005, 1.02),
            frameon=False,
            borderaxespad=0.2,
            handlelength=1.8,
            fontsize=9.5,
        )
