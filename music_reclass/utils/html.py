"""Self-contained HTML pages: tables, plots and bars in one file; no script, font or link; light and dark."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from music_reclass.utils.words import ellipsis

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222;"
    "background:#fff;overflow-wrap:anywhere}table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto;"
    "max-width:100%;overflow-wrap:normal}td,th{padding:.15rem .7rem;text-align:right;"
    "vertical-align:top}td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f4f4f4}"
    ".warn{background:#fff3cd;border-left:4px solid #e0a800;padding:.4rem .8rem;margin:.4rem 0}"
    "svg{max-width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:#222}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}text{fill:#ddd}a{color:#8ab4f8}"
    "tr:nth-child(even){background:#242424}.warn{background:#3a3115}}"
)
BLUE, GREEN, RED, AMBER, GREY = "#2f6db5", "#2f8f4e", "#c0392b", "#d99a2b", "#8a8a8a"
_SIDE, _EDGE = 300, 54


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """The whole page; `parts` are HTML, `title` is text."""
    head = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>",
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}{style}</style>",
    )
    return "\n".join([*head, *parts, "</html>"])


def escape(text: str) -> str:
    """Any text as HTML: markup, bytes that are no UTF-8 and control characters are shown, not obeyed."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return html.escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, the first column to the left; "" without rows."""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return ""
    return "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + f"</tr>{body}</table>"


def plot(
    points: Sequence[tuple[float, float]],
    across: str,
    up: str,
    *,
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
    shapes.append(f"<polyline points='{line}' fill='none' stroke='{BLUE}' stroke-width='2'/>")
    most = max(sizes) if sizes else 1
    for number, (x, y) in enumerate(at(*point) for point in points):
        radius = 2 + 6 * (sizes[number] / most) ** 0.5 if sizes else 2.5
        title = f"<title>{sizes[number]} rows</title>" if sizes else ""
        shapes.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}' fill='{BLUE}'>{title}</circle>")
    shapes.append(f"<text x='{_EDGE + _SIDE / 2}' y='{_SIDE + 42}' text-anchor='middle'>{escape(across)}</text>")
    shapes.append(
        f"<text transform='translate(11 {10 + _SIDE / 2}) rotate(-90)' text-anchor='middle'>{escape(up)}</text>"
    )
    return _drawing("".join(shapes), _EDGE + _SIDE + 20, _SIDE + 50, f"{up} by {across}")


def matrix(names: Sequence[str], counts: Sequence[Sequence[int]], verb: str, label: str = "confusion matrix") -> str:
    """Counts by row and column, both in the order of `names`; the shade is the share of the row, green where equal."""
    cell, left, top = 26, 120, 110
    shapes = []
    for i, (name, row) in enumerate(zip(names, counts, strict=True)):
        y = top + i * cell
        shapes.append(f"<text x='{left - 6}' y='{y + 17}' text-anchor='end'>{_short(name)}</text>")
        x = left + i * cell
        shapes.append(f"<text transform='translate({x + 17} {top - 6}) rotate(-60)'>{_short(name)}</text>")
        total = max(1, sum(row))
        for j, count in enumerate(row):
            colour = GREEN if i == j else RED
            title = f"{name} {verb} {names[j]}: {count:,}"
            shapes.append(
                f"<rect x='{left + j * cell}' y='{y}' width='{cell}' height='{cell}' fill='{colour}' "
                f"fill-opacity='{count / total:.3f}' stroke='#bbb' stroke-width='.5'>"
                f"<title>{escape(title)}</title></rect>"
            )
            if count:
                shown = f"{count}" if count < 1000 else f"{count / 1000:.0f}k"
                shapes.append(f"<text x='{left + j * cell + 13}' y='{y + 17}' text-anchor='middle'>{shown}</text>")
    wide, high = left + len(names) * cell + 60, top + len(names) * cell + 10
    return _drawing("".join(shapes), wide, high, label)


def bars(rows: Sequence[tuple[str, float, str, str]], label: str) -> str:
    """Horizontal bars, one a row: name, value, the words behind the bar, colour."""
    most = max((value for _, value, _, _ in rows), default=0.0) or 1.0
    step, left, wide = 24, 140, 260
    shapes = []
    for number, (name, value, words, colour) in enumerate(rows):
        y = 4 + number * step
        shapes.append(f"<text x='{left - 8}' y='{y + 14}' text-anchor='end'>{_short(name)}</text>")
        shapes.append(f"<rect x='{left}' y='{y}' width='{wide * value / most:.1f}' height='18' fill='{colour}'/>")
        shapes.append(f"<text x='{left + wide * value / most + 6:.1f}' y='{y + 14}'>{escape(words)}</text>")
    return _drawing("".join(shapes), left + wide + 220, 8 + step * len(rows), label)


def histogram(steps: int, parts: Mapping[str, tuple[Sequence[int], str]], across: str, label: str) -> str:
    """Stacked columns over [0, 1] in `steps` steps: for each name its counts and colour; a legend above."""
    tops = [sum(counts[step] for counts, _ in parts.values()) for step in range(steps)]
    most = max(tops, default=0) or 1
    left, wide, high = 60, 520, 200
    column = wide / steps
    shapes, x = [], float(left)
    for name, (_, colour) in parts.items():
        shapes.append(f"<rect x='{x:.0f}' y='4' width='11' height='11' fill='{colour}'/>")
        shapes.append(f"<text x='{x + 16:.0f}' y='14'>{escape(name)}</text>")
        x += 40 + 7 * len(name)
    base = 24 + high
    for share in (0.0, 0.5, 1.0):
        y = base - share * high
        shapes.append(f"<path d='M{left} {y:.1f}H{left + wide}' stroke='#bbb' stroke-width='.5'/>")
        shapes.append(f"<text x='{left - 6}' y='{y + 4:.1f}' text-anchor='end'>{round(share * most):,}</text>")
    for step in range(steps):
        y = float(base)
        for name, (counts, colour) in parts.items():
            tall = high * counts[step] / most
            y -= tall
            if counts[step]:
                title = f"{name}, {step / steps:.2f} to {(step + 1) / steps:.2f}: {counts[step]:,}"
                shapes.append(
                    f"<rect x='{left + step * column + 1:.1f}' y='{y:.1f}' width='{column - 2:.1f}' "
                    f"height='{tall:.1f}' fill='{colour}'><title>{escape(title)}</title></rect>"
                )
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        shapes.append(f"<text x='{left + tick * wide:.0f}' y='{base + 16}' text-anchor='middle'>{tick:g}</text>")
    shapes.append(f"<text x='{left + wide / 2:.0f}' y='{base + 32}' text-anchor='middle'>{escape(across)}</text>")
    return _drawing("".join(shapes), left + wide + 20, base + 40, label)


_NAME = 18  # columns of a name beside a drawing


def _short(name: str) -> str:
    """A name that fits beside a drawing, as HTML: cut with an ellipsis, and whole where the pointer rests on it."""
    shown = ellipsis(name, _NAME)
    return escape(shown) if shown == name else f"{escape(shown)}<title>{escape(name)}</title>"


def _drawing(shapes: str, wide: float, high: float, label: str) -> str:
    size = f"viewBox='0 0 {wide:g} {high:g}' width='{wide:g}'"
    return f"<svg {size} role='img' aria-label='{escape(label)}'>{shapes}</svg>"
