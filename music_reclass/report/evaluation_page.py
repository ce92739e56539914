"""An evaluation as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator

from music_reclass.models.metrics import Evaluation, Interval
from music_reclass.utils.html import document, escape, matrix, plot, table
from music_reclass.utils.words import counted


def page(evaluation: Evaluation) -> str:
    """The whole page."""
    figures = (("accuracy", evaluation.accuracy), ("macro-F1", evaluation.macro_f1), ("ECE", evaluation.ece))
    parts = [
        f"<h1>{escape(evaluation.title)}</h1>",
        f"<p>{counted(evaluation.count, 'row')} of {counted(evaluation.artists, 'artist')}. "
        "Brackets: 95 % of resampled artists.</p>",
        *(f"<p class='warn'>{escape(text)}</p>" for text in evaluation.warnings),
        table(
            ("figure", "value", "interval"),
            ((name, f"{interval.value:.3f}", _between(interval)) for name, interval in figures),
        ),
        "<h2>Genres</h2>",
        table(
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
        matrix(evaluation.classes, evaluation.matrix, "called"),
        "<h2>Reliability</h2><p>Where the line runs on the diagonal, a confidence of 0.7 is right 7 times in 10.</p>",
        plot(
            [(point.confidence, point.precision) for point in evaluation.reliability],
            "confidence",
            "share right",
            diagonal=True,
            sizes=[point.count for point in evaluation.reliability],
        ),
        "<h2>Coverage and precision</h2><p>Deciding only where the confidence is high: fewer rows, fewer errors.</p>",
        plot(
            [(point.coverage, point.precision) for point in evaluation.curve if point.precision == point.precision],
            "share decided",
            "share right among them",
        ),
        table(
            ("threshold", "confidence", "decided", "right"),
            (
                (name, f"{point.confidence:.2f}", _share(point.coverage), _share(point.precision))
                for name, point in evaluation.thresholds
            ),
        ),
        *_policies(evaluation),
        "<h2>Confusions</h2>",
        table(
            ("genre", "called", "rows"), ((genre, called, str(count)) for genre, called, count in evaluation.confusions)
        ),
    ]
    return document(evaluation.title, parts)


def _policies(evaluation: Evaluation) -> Iterator[str]:
    """Accuracy against seconds of the exit policies, for a cascade."""
    if not evaluation.policies:
        return
    yield "<h2>Exit policies</h2><p>How many rows are right, and what a row costs, by when a track needs no further "
    yield "stage.</p>"
    yield table(
        ("policy", "right", "seconds a row", "asked"),
        (
            (
                f"{cost.policy}{' (this page)' if cost.chosen else ''}",
                f"{cost.accuracy:.3f}",
                "–" if cost.seconds != cost.seconds else f"{cost.seconds:.2g}",
                ", ".join(f"{stage} {share:.0%}" for stage, share in cost.asked[1:]),
            )
            for cost in evaluation.policies
        ),
    )


def _share(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def _between(interval: Interval) -> str:
    return f"[{interval.low:.3f}, {interval.high:.3f}]"
