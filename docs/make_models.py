"""Write the table of all models and the flowchart of the cascade, from the catalogue and the embedded bundles:
`python docs/make_models.py`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from music_reclass.domain import CONTENT
from music_reclass.extractors.weights.catalogue import MODELS, RECOMMENDED, Model
from music_reclass.models.bundle import CONTENT_FOLDERS, EMBEDDED, Bundle, embedded

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "music_reclass"
PAGE = DOCS / "reference" / "models.md"
FIGURE = DOCS / "explanation" / "cascade.svg"
HEAD = """# Models

Every model that reclass knows, in one table. The first five are in the package; the others are fetched when you ask for
them (`reclass models download NAME`), each under its own licence, which is shown first. How they work together:
[the cascade](../explanation/cascade.md). This page is written by `python docs/make_models.py`.

"""
TABLE = (
    "| model | what for | size | licence | where it comes from | needs | right, new artists (ECE) |",
    "|---|---|---|---|---|---|---|",
)
FOOT = """
*Right, new artists*: the share of 895 clips whose genre is right, in artist-grouped folds, of the embedded stage that
reads the model's vectors; ECE: the mean gap between confidence and accuracy. The
[model card](../explanation/model-card.md) has the command, and what to expect of music unlike the training data.

*Yours*: no stage in the package reads these vectors; `reclass train all` trains one on your library and prints how
often it is right. *Not measured*: the weights could not be had where reclass is developed. *Evidence*: its tags are
shown, they decide nothing ([evidence](../explanation/evidence.md)).

Non-commercial licences hold for the weights and, to be safe, for what is trained on their vectors
([neural models](../how-to/neural-models.md)).
"""
INPUTS = {
    "fma518": "genre, the first stage: from the 518 features of every track",
    "efficientat": "genre, the second stage: from these, EfficientAT's 384 numbers and its 527 tags",
    "musicnn": "genre, in the place of EfficientAT: from the 518 features and MusiCNN's 200 numbers",
    "content": "music or not: from the 518 features",
    "content-tags": "music or not: from EfficientAT's 527 tags",
}
UNTRAINED = {"ast": "evidence", "hubert": "evidence"}


def page() -> str:
    """The whole page."""
    rows = [*map(_embedded_row, (*EMBEDDED, *CONTENT)), *map(_catalogue_row, MODELS.values())]
    return HEAD + "\n".join([*TABLE, *rows]) + "\n" + FOOT


def _embedded_row(stage: str) -> str:
    bundle = embedded(stage)
    licence = bundle.manifest["licence"].partition(" (")[0]
    cells = [f"`{bundle.name}` {bundle.version}", INPUTS[stage], _size(_bytes(stage)), licence, "in the package", ""]
    return _row(*cells, _measured(bundle) or "[of what is no music](../explanation/content.md#measured)")


def _catalogue_row(model: Model) -> str:
    name = f"`{model.name}`" + (" (recommended)" if model.name == RECOMMENDED else "")
    measured = _measured(embedded(model.name)) if model.name in EMBEDDED else UNTRAINED.get(model.name, "")
    source = model.files[0].hub
    where = f"{source.repository} on the hub" if source else _place(model.files[0].url)
    extra = f"extra `{model.extra}`" if model.extra else ""
    if not measured:
        measured = "not measured" if "styles" in model.kinds[-1] else "yours"
    return _row(name, model.title, _size(model.size), model.licence, where, extra, measured)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _place(url: str) -> str:
    """Where a file that is not on the hub lies: a repository, or a site."""
    parts = urlsplit(url)
    owner, name = parts.path.strip("/").split("/")[:2]
    return f"{owner}/{name} on GitHub" if "github" in parts.netloc else parts.netloc


def _measured(bundle: Bundle) -> str:
    metrics = bundle.manifest.get("metrics", {})
    return f"{metrics['hit@1 clean']:.3f} ({metrics['ece clean']:.3f})" if "hit@1 clean" in metrics else ""


def _bytes(stage: str) -> int:
    folder = PACKAGE / "data" / (EMBEDDED | CONTENT_FOLDERS)[stage]
    return sum(path.stat().st_size for path in folder.iterdir())


def _size(count: int) -> str:
    megabytes = count / 1e6
    if megabytes < 0.1:
        return f"{count / 1e3:.0f}\N{NO-BREAK SPACE}kB"
    return f"{megabytes:.1f}\N{NO-BREAK SPACE}MB" if megabytes < 10 else f"{megabytes:,.0f}\N{NO-BREAK SPACE}MB"


# The flowchart: the way of a track down the left column, what leads out of it to the right. Numbers are pixels.
WIDTH, LEFT, RIGHT, MIDDLE, SIDE, ROW, GAP = 840, 30, 550, 400, 260, 18, 30
COLOURS = {"step": "#e8f0fe", "question": "#fff4d6", "model": "#e3f4e8", "end": "#f1f1f4"}
STYLE = (
    "text { font: 14px sans-serif; fill: #1b1b1f } .first { font-weight: bold } .label { font-size: 13px; "
    "fill: #44474f } path { stroke: #44474f; stroke-width: 1.5; fill: none } rect { stroke: #9aa0ac }"
)
ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" style="fill: #44474f; stroke: none"/></marker></defs>'
)


class Step(NamedTuple):
    """One box of the left column, and the box that its answer `label` leads to."""

    kind: str  # a key of COLOURS
    lines: tuple[str, ...]
    label: str = ""
    aside: tuple[str, ...] = ()
    returns: bool = False  # the box at the side leads back to the album


def steps() -> list[Step]:
    """The way of a track, with the thresholds of the embedded bundles."""
    first, second, detector = embedded("fma518"), embedded("efficientat"), embedded("content")
    sure, maybe = second.thresholds["confident"], second.thresholds["likely"]
    known = ("Not opened", "the stored decision holds")
    no_music = ("Skipped: not_music", "gets no genre, has no vote")
    exits = ("Exits early", "where a later stage would cost", "more than it is expected to gain")
    conflict = ("Conflict", "left alone unless --on-existing", "says otherwise")
    fits = ("What does the tag say?", "nothing or junk: fill; the same or finer: nothing to do")
    return [
        Step("question", ("A file", "size and time as at the last scan?"), "yes", known),
        Step("step", ("Decoded once, 30 s", "518 features; EfficientAT, where it is installed")),
        Step("question", ("Is it music?", f"{detector.name}; where there are tags, these"), "no", no_music),
        Step("model", (f"1. {first.name}, from the 518 features", "in the package, votes on every track")),
        Step(
            "model",
            (f"2. {second.name}, from these and EfficientAT", "else musicnn-ensemble, where MusiCNN is installed"),
            "sure enough",
            exits,
            returns=True,
        ),
        Step("model", ("3. MERT, then OpenJMLA", "where stages were trained on your library")),
        Step("step", ("The album votes together", "with calibrated probabilities")),
        Step(
            "question",
            ("How sure?", f"by stage 2 confident from {sure:g} on, likely from {maybe:g} on"),
            "below",
            ("Unsure", "left alone and listed:", "reclass status --unsure"),
        ),
        Step("question", fits, "another", conflict),
        Step("step", ("Written after your yes", "journal, copy, check, swap; reclass undo restores the bytes")),
    ]


def figure() -> str:
    """The flowchart of the cascade as SVG."""
    shown, tops, top = steps(), [], GAP // 2
    for step in shown:
        tops.append(top)
        top += _height(step.lines) + GAP
    album = next(number for number, step in enumerate(shown) if step.lines[0].startswith("The album"))
    album_middle = tops[album] + _height(shown[album].lines) // 2
    parts = []
    for step, own_top in zip(shown, tops, strict=True):
        middle, bottom = own_top + _height(step.lines) // 2, own_top + _height(step.lines)
        parts.append(_box(LEFT, own_top, MIDDLE, step.lines, step.kind))
        if step is not shown[-1]:
            parts.append(_arrow((LEFT + MIDDLE // 2, bottom), (LEFT + MIDDLE // 2, bottom + GAP)))
        if step.aside:
            half = _height(step.aside) // 2
            parts.append(_arrow((LEFT + MIDDLE, middle), (RIGHT, middle)))
            parts.append(f'<text x="{LEFT + MIDDLE + 12}" y="{middle - 6}" class="label">{escape(step.label)}</text>')
            parts.append(_box(RIGHT, middle - half, SIDE, step.aside, "end"))
            if step.returns:
                down = RIGHT + SIDE // 2
                parts.append(_arrow((down, middle + half), (down, album_middle), (LEFT + MIDDLE, album_middle)))
    height = top - GAP // 2
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">'
    title = '<title id="title">The way of a track through the cascade</title>'
    paper = f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff" style="stroke: none"/>'
    return "\n".join([head, title, f"<style>{STYLE}</style>", ARROW, paper, *parts, "</svg>", ""])


def _height(lines: Sequence[str]) -> int:
    return ROW * len(lines) + 20


def _box(left: int, top: int, width: int, lines: Sequence[str], kind: str) -> str:
    place = f'x="{left}" y="{top}" width="{width}" height="{_height(lines)}" rx="6"'
    rows = [f'<rect {place} fill="{COLOURS[kind]}"/>']
    for number, line in enumerate(lines):
        style = "" if number else ' class="first"'
        rows.append(f'<text x="{left + 14}" y="{top + 24 + ROW * number}"{style}>{escape(line)}</text>')
    return "\n".join(rows)


def _arrow(*points: tuple[int, int]) -> str:
    path = " L".join(f"{left},{top}" for left, top in points)
    return f'<path d="M{path}" marker-end="url(#arrow)"/>'


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    FIGURE.write_text(figure(), encoding="utf-8")
