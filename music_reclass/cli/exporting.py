"""The library as files that other programs read."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from music_reclass.errors import ReclassError

if TYPE_CHECKING:
    from music_reclass.features.decisions import TrackState

COLUMNS = (
    "path", "outcome", "reason", "genres", "confidence", "stage", "before", "artist", "album", "title", "duration",
)  # fmt: skip


def row_of(state: TrackState) -> dict[str, Any]:
    """One track as the columns of an export; `before` is None where the file had no genre field."""
    decision, error, tags = state.decision, state.error, state.tags
    return {
        "path": state.path,
        "outcome": None if state.outcome is None else state.outcome.value,
        "reason": error.reason if error else (decision.reason if decision else ""),
        "genres": list(decision.genres) if decision and not error else [],
        "confidence": round(decision.confidence, 4) if decision and not error else 0.0,
        "stage": decision.stage if decision and not error else "",
        "before": None if tags.genres is None else list(tags.genres),
        "artist": tags.artist,
        "album": tags.album,
        "title": tags.title,
        "duration": state.duration,
    }


def table(states: Iterable[TrackState], kind: str, out: Path | None) -> None:
    """Write CSV or JSON lines to `out`, or to stdout; ReclassError if the file cannot be written."""
    with ExitStack() as stack:
        try:
            # newline="": the csv module writes its own line ends.
            file: TextIO = (
                sys.stdout if out is None else stack.enter_context(out.open("w", encoding="utf-8", newline=""))
            )
        except OSError as error:
            raise ReclassError(f"{out} cannot be written: {error.strerror}.") from error
        if kind == "csv":
            _csv(states, file)
        else:
            for state in states:
                file.write(json.dumps(row_of(state)) + "\n")


def _csv(states: Iterable[TrackState], file: TextIO) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS)
    writer.writeheader()
    for state in states:
        row = row_of(state)
        row["genres"] = "; ".join(row["genres"])
        row["before"] = "" if row["before"] is None else "; ".join(row["before"])
        writer.writerow(row)
        # A name that is not UTF-8 cannot stand in a text file: its bytes are shown as \udcXX.
        text = buffer.getvalue().encode("utf-8", "backslashreplace").decode()
        file.write("".join(map(_harmless, text)) if file.isatty() else text)
        buffer.seek(0)
        buffer.truncate()


def _harmless(char: str) -> str:
    """A character as a terminal may get it."""
    return char if char.isprintable() or char in "\r\n" else char.encode("unicode_escape").decode()


def playlists(states: Iterable[TrackState], folder: Path) -> dict[str, int]:
    """One extended M3U per primary genre of confident and likely tracks; tracks by playlist name."""
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files: dict[str, Any] = {}
            for state in states:
                if state.error or not state.decision or not state.decision.genres:
                    continue
                name = f"{state.decision.genres[0]}.m3u8"
                if name not in files:
                    files[name] = stack.enter_context((folder / name).open("wb"))
                    files[name].write(b"#EXTM3U\n")
                label = " - ".join(part for part in (state.tags.artist, state.tags.title) if part)
                seconds = round(state.duration or -1)
                line = f"#EXTINF:{seconds},{label}".replace("\n", " ").replace("\r", " ")
                files[name].write(line.encode("utf-8", "replace") + b"\n")
                files[name].write(state.path.encode("utf-8", "surrogateescape") + b"\n")
                counts[name] = counts.get(name, 0) + 1
        except OSError as error:
            raise ReclassError(f"the playlists cannot be written to {folder}: {error.strerror}.") from error
    return counts
