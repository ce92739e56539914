"""An evaluation as one HTML page that needs nothing else: tables and drawings inside, no script, no font, no link."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from music_reclass.training.figures import Evaluation, Interval

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.15rem .7rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f4f4f4}"
    ".warn{background:#fff3cd;border-left:4px solid #e0a800;padding:.4rem .8rem;margin:.4rem 0}"
    "svg{max-width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:#222}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}text{fill:#ddd}"
    "tr:nth-child(even){background:#242424}.warn{background:#3a3115}}"
)
_SIDE, _EDGE = 300, 40
_BLUE = "#2f6db5"


def page(evaluation: Evaluation) -> str:
    """The whole page."""
    figures = (("accuracy", evaluation.accuracy), ("macro-F1", evaluation.macro_f1), ("ECE", evaluation.ece))
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(evaluation.title)}</title>",
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style>",
        f"<h1>{escape(evaluation.title)}</h1>",
        f"<p>{evaluation.count:,} rows of {evaluation.artists:,} artists. Brackets: 95 % of resampled artists.</p>",
        *(f"<p class='warn'>{escape(text)}</p>" for text in evaluation.warnings),
        _table(("figure", "value", "interval"), ((name, f"{own.value:.3f}", _between(own)) for name, own in figures)),
        "<h2>Genres</h2>",
        _table(
            ("genre", "rows", "counted", "predicted", "precision", "recall", "F1"),
            (
                (
                    row.genre,
                    str(row.carried),
                    str(row.support),
                    str(row.predicted),
                    _share(row.precision),
                    _share(row.recall),
                    _share(row.f1),
                )
                for row in evaluation.genres
            ),
        ),
        "<h2>Confusion matrix</h2><p>Rows: what it is; columns: what it was called; shade: share of the row.</p>",
        _matrix(evaluation),
        "<h2>Reliability</h2><p>Where the line runs on the diagonal, a confidence of 0.7 is right 7 times in 10.</p>",
        _plot(
            [(own.confidence, own.right) for own in evaluation.reliability],
            "confidence",
            "share right",
            diagonal=True,
            sizes=[own.count for own in evaluation.reliability],
        ),
        "<h2>Coverage and precision</h2><p>Deciding only where the confidence is high: fewer rows, fewer errors.</p>",
        _plot(
            [(own.coverage, own.precision) for own in evaluation.curve if own.precision == own.precision],
            "share decided",
            "share right among them",
        ),
        _table(
            ("threshold", "confidence", "decided", "right"),
            (
                (name, f"{own.confidence:.2f}", _share(own.coverage), _share(own.precision))
                for name, own in evaluation.thresholds
            ),
        ),
        "<h2>Confusions</h2>",
        _table(("genre", "called", "rows"), ((own.genre, own.called, str(own.count)) for own in evaluation.confusions)),
        "</html>",
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return ""
    return "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + f"</tr>{body}</table>"


def _share(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def _between(own: Interval) -> str:
    return f"[{own.low:.3f}, {own.high:.3f}]"


def _plot(
    points: Sequence[tuple[float, float]],
    across: str,
    up: str,
    diagonal: bool = False,
    sizes: Sequence[int] | None = None,
) -> str:
    """A line through `points` in the unit square, with dots as large as `sizes` say."""

    def at(x: float, y: float) -> tuple[float, float]:
        return _EDGE + x * _SIDE, 10 + (1 - y) * _SIDE

    shapes = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(tick, tick)
        shapes.append(
            f"<path d='M{x:.1f} 10V{10 + _SIDE}M{_EDGE} {y:.1f}H{_EDGE + _SIDE}' stroke='#bbb' stroke-width='.5'/>"
        )
        shapes.append(f"<text x='{x:.1f}' y='{_SIDE + 24}' text-anchor='middle'>{tick:g}</text>")
        shapes.append(f"<text x='{_EDGE - 5}' y='{y + 4:.1f}' text-anchor='end'>{tick:g}</text>")
    if diagonal:
        (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
        shapes.append(f"<path d='M{x0} {y0}L{x1} {y1}' stroke='#999' stroke-dasharray='4'/>")
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    shapes.append(f"<polyline points='{line}' fill='none' stroke='{_BLUE}' stroke-width='2'/>")
    most = max(sizes) if sizes else 1
    for number, (x, y) in enumerate(at(*point) for point in points):
        radius = 2 + 6 * (sizes[number] / most) ** 0.5 if sizes else 2.5
        title = f"<title>{sizes[number]} rows</title>" if sizes else ""
        shapes.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}' fill='{_BLUE}'>{title}</circle>")
    shapes.append(f"<text x='{_EDGE + _SIDE / 2}' y='{_SIDE + 42}' text-anchor='middle'>{escape(across)}</text>")
    shapes.append(
        f"<text transform='translate(11 {10 + _SIDE / 2}) rotate(-90)' text-anchor='middle'>{escape(up)}</text>"
    )
    size = f"viewBox='0 0 {_EDGE + _SIDE + 20} {_SIDE + 50}' width='{_EDGE + _SIDE + 20}'"
    return f"<svg {size} role='img' aria-label='{escape(up)} by {escape(across)}'>{''.join(shapes)}</svg>"


def _matrix(evaluation: Evaluation) -> str:
    cell, left, top = 26, 120, 110
    shapes = []
    for i, (name, counts) in enumerate(zip(evaluation.classes, evaluation.matrix, strict=True)):
        y = top + i * cell
        shapes.append(f"<text x='{left - 6}' y='{y + 17}' text-anchor='end'>{escape(name)}</text>")
        x = left + i * cell
        shapes.append(f"<text transform='translate({x + 17} {top - 6}) rotate(-60)'>{escape(name)}</text>")
        total = max(1, sum(counts))
        for j, count in enumerate(counts):
            share = count / total
            colour = "#2f8f4e" if i == j else "#c0392b"
            label = f"{name} called {evaluation.classes[j]}: {count}"
            shapes.append(
                f"<rect x='{left + j * cell}' y='{y}' width='{cell}' height='{cell}' fill='{colour}' "
                f"fill-opacity='{share:.3f}' stroke='#bbb' stroke-width='.5'><title>{escape(label)}</title></rect>"
            )
            if count:
                shapes.append(f"<text x='{left + j * cell + 13}' y='{y + 17}' text-anchor='middle'>{count}</text>")
    wide, high = left + len(evaluation.classes) * cell + 60, top + len(evaluation.classes) * cell + 10
    size = f"viewBox='0 0 {wide} {high}' width='{wide}'"
    return f"<svg {size} role='img' aria-label='confusion matrix'>{''.join(shapes)}</svg>"
