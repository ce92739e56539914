"""`status` and `export`: what the library knows, without opening a music file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import Selection, force_flag, json_flag, selection_flags, setting_flags
from music_reclass.cli.output import (
    MADE_BY,
    check_output,
    plain,
    print_json,
    print_table,
    printable,
    say,
    shorten_home,
    write_file,
)
from music_reclass.errors import ReclassError

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.features.database import Database

COLUMNS = (
    "path", "outcome", "reason", "genres", "confidence", "stage", "before", "artist", "album", "title", "duration",
)  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def row_of(track: Track) -> dict[str, Any]:
    """One track as the columns of an export; `before` is None where the file had no genre field."""
    decision, error, tags = track.decision, track.error, track.tags
    return {
        "path": track.path,
        "outcome": None if track.outcome is None else track.outcome.value,
        "reason": error.reason if error else (decision.reason if decision else ""),
        "genres": list(decision.genres) if decision and not error else [],
        "confidence": round(decision.confidence, 4) if decision and not error else 0.0,
        "stage": decision.stage if decision and not error else "",
        "before": None if tags.genres is None else list(tags.genres),
        "artist": tags.artist,
        "album": tags.album,
        "title": tags.title,
        "duration": track.duration,
    }


def table(tracks: Iterable[Track], kind: str, out: Path | None, *, force: bool = False) -> None:
    """Write CSV or JSON lines to `out`, or to stdout; UsageError or ReclassError if the file cannot be written."""
    lines = _csv_lines(tracks) if kind == "csv" else (json.dumps(row_of(track)) + "\n" for track in tracks)
    if out is not None:
        write_file(out, lines, force=force)
    else:
        print_table(lines)


def _csv_lines(tracks: Iterable[Track]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS)
    writer.writeheader()
    for track in tracks:
        row = row_of(track)
        row["genres"] = "; ".join(row["genres"])
        row["before"] = "" if row["before"] is None else "; ".join(row["before"])
        writer.writerow({name: _as_cell(value) for name, value in row.items()})
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()  # the header alone, where there is no track


def _as_cell(value: Any) -> Any:
    """A value as spreadsheets may get it: an apostrophe goes before a text that they would take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def playlists(tracks: Iterable[Track], folder: Path, *, force: bool = False) -> dict[str, int]:
    """One extended M3U per primary genre of confident and likely tracks; tracks by playlist name."""
    lists: dict[str, list[Track]] = {}
    for track in tracks:
        if track.error or not track.decision or not track.decision.genres:
            continue
        name = track.decision.genres[0].replace("/", "-").lstrip(".")  # a taxonomy may call a genre ../x
        lists.setdefault(f"{name}.m3u8", []).append(track)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReclassError(f"The playlists cannot be written to {folder}: {error.strerror}.") from error
    for name in lists:  # all before the first is written
        check_output(folder / name, force=force)
    for name, entries in lists.items():
        write_file(folder / name, m3u_of(entries, None), force=force)
    return {name: len(entries) for name, entries in lists.items()}


def m3u_of(tracks: Iterable[Track], folder: Path | None) -> bytes:
    """An extended M3U, with paths relative to `folder` or absolute ones; names that are not UTF-8 as their bytes."""
    entries = [b"#EXTM3U\n#", MADE_BY, b"\n"]
    for track in tracks:
        label = " - ".join(part for part in (track.tags.artist, track.tags.title) if part)
        words = "".join(char if char.isprintable() else " " for char in label)
        line = f"#EXTINF:{round(track.duration or -1)},{words}"
        # A list of lines cannot hold a name with a line break in it; its address can.
        has_break = track.path.splitlines() != [track.path]
        path = track.path if folder is None else os.path.relpath(track.path, folder)
        path = f"./{path}" if path.startswith("#") else path
        shown = (Path(track.path).as_uri() if has_break else path).encode("utf-8", "surrogateescape")
        entries.append(line.encode("utf-8", "replace") + b"\n" + shown + b"\n")
    return b"".join(entries)


@click.command()
@click.option("--failed", is_flag=True, help="List the files that were skipped or failed, with the reason.")
@click.option("--unsure", is_flag=True, help="List the tracks nobody is sure of, likeliest guess first.")
@selection_flags
@setting_flags("taxonomy")
@json_flag
def status(failed: bool, unsure: bool, selection: Selection, as_json: bool, settings: Settings) -> None:
    """What is in the library: tracks by outcome, genres, failures; below PATHS, or everywhere.

    With --failed, --unsure, --genre, --outcome or --relation the tracks themselves are listed.
    """
    from music_reclass.cli.session import reading
    from music_reclass.features.decisions import Decisions
    from music_reclass.taxonomy import load

    named = (*selection.outcomes, *(("failed", "skipped") if failed else ()), *(("unsure",) if unsure else ()))
    selection = selection._replace(outcomes=named, unwritable=failed)
    with reading(settings) as library:
        if named or selection.genres or selection.relations:
            taxonomy = load(settings.taxonomy)
            _list(selection.tracks(Decisions(library), taxonomy), as_json, unwritable=failed)
        else:
            _show_status(library, selection.paths, settings.prior, as_json=as_json)


def _show_status(database: Database, folders: tuple[str, ...], prior: str, *, as_json: bool) -> None:
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.library import Library
    from music_reclass.features.user_decisions import UserDecisions

    decisions = Decisions(database)
    if not folders:
        totals, counts = Library(database).totals(), decisions.counts()
    else:
        counts = _counts(decisions.below(folders))
        totals = {"tracks": sum(counts["outcomes"].values()), "missing": len(Library(database).missing(folders))}
    yours = 0 if folders else UserDecisions(database).count()
    if as_json:
        print_json(
            {
                "database": str(database.path),
                **totals,
                **counts,
                "prior": prior or None,
                **({} if folders else {"user_decisions": yours}),
            }
        )
        return
    from music_reclass.report.text import counted, outcome_lines

    missing = f", {totals['missing']:,} of them missing" if totals["missing"] else ""
    say("library", f"{counted(totals['tracks'], 'track')}{missing}  ({printable(shorten_home(str(database.path)))})")
    for line in outcome_lines(counts["outcomes"], counts["reasons"]):
        plain(printable(line))
    if yours:
        say("yours", f"{counted(yours, 'decision')} of yours, which hold over every scan (reclass decide --list)")
    if prior:
        say("prior", printable(f"{prior} (reclass report has the shares)"))
    for genre, count in counts["genres"].items():
        say("", f"{printable(genre):<18} {count:>8,}")


def _counts(tracks: Iterable[Track]) -> dict[str, dict[str, int]]:
    """Tracks by outcome, by reason of skips and failures, and by genre, most first."""
    outcomes, reasons, genres = Counter[str](), Counter[str](), Counter[str]()
    for track in tracks:
        if track.outcome is None:
            continue
        outcomes[track.outcome.value] += 1
        if track.obstacle[0]:
            reasons[f"{track.outcome.value}: {track.obstacle[0]}"] += 1
        elif track.decision is not None and track.decision.genres:
            genres[track.decision.genres[0]] += 1
    return {"outcomes": dict(outcomes), "reasons": dict(reasons), "genres": dict(genres.most_common())}


def _list(tracks: Iterable[Track], as_json: bool, *, unwritable: bool = False) -> None:
    """One line or object a track; where `unwritable`, a genre that could not be written is what is said of it."""
    from music_reclass.report.text import not_written

    for track in tracks:
        if track.outcome is None:
            continue
        decision = track.decision
        shown = {"path": track.path, "outcome": track.outcome.value}
        word = shown["outcome"]
        if track.obstacle[0]:
            reason, detail = track.obstacle
        elif unwritable and track.unwritable:
            word, reason = "unwritten", track.unwritable
            detail = f"its genre could not be written: {not_written(reason)}"
        elif decision is not None and decision.genres:
            reason = decision.reason
            tags = "(no genre)" if track.tags.genres is None else ", ".join(track.tags.genres) or "(empty)"
            detail = f"{tags} -> {', '.join(decision.genres)} {decision.confidence:.2f}"
        else:
            reason = "" if decision is None else decision.reason
            guess = decision.votes[-1].top(1) if decision is not None and decision.votes else []
            detail = "".join(f"{genre} {p:.2f}" for genre, p in guess)
        if as_json:
            print_json({**shown, "reason": reason, "detail": detail})
        else:
            plain(f"{word:<9} {reason:<16} {printable(shorten_home(track.path))}  {printable(detail)}")


@click.command()
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "m3u"]), default="csv", show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write (csv, jsonl; default: stdout) or folder (m3u)."
)
@force_flag
@selection_flags
@setting_flags("taxonomy")
def export(kind: str, out: Path | None, force: bool, selection: Selection, settings: Settings) -> None:
    """Every track with its decision, below PATHS or everywhere, as CSV, JSON lines, or one M3U playlist per genre."""
    from music_reclass.cli.session import reading
    from music_reclass.features.decisions import Decisions
    from music_reclass.report.text import counted
    from music_reclass.taxonomy import load

    if out is not None and kind != "m3u":
        check_output(out, force=force)
    with reading(settings) as library:
        tracks = selection.tracks(Decisions(library), load(settings.taxonomy))
        if kind != "m3u":
            table(tracks, kind, out, force=force)
            return
        folder = out or Path("playlists")
        for name, count in playlists(tracks, folder, force=force).items():
            say("playlist", f"{printable(str(folder / name))}  {counted(count, 'track')}")
