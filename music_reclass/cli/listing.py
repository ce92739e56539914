"""What the library knows, without touching a file: status, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import plain, print_json, printable, say, shorten_home

if TYPE_CHECKING:
    from music_reclass.domain import Outcome
    from music_reclass.features.database import Database
    from music_reclass.features.decisions import Decisions


def open_library(db: Path | None, config_file: Path | None) -> Database:
    """The library database; NothingToDo if there is none yet."""
    from music_reclass.errors import NothingToDo
    from music_reclass.features.database import Database

    path = settings_from(config_file, db=db).database
    if not path.exists():
        raise NothingToDo(f"there is no library at {path} yet: scan a folder first (reclass scan ~/Music).")
    return Database(path)


def next_step() -> None:
    """What `reclass` alone says: where things stand, and the command that comes next."""
    from music_reclass.config import load

    if not load({}).database.exists():
        plain("no library yet.       listen to one:  reclass scan ~/Music     see it work:  reclass demo")
    else:
        plain("the library is there. where it stands: reclass status         go on:        reclass scan ~/Music")
    plain("all commands:         reclass --help")


@click.command()
@click.option("--failed", is_flag=True, help="List the files that were skipped or failed, with the reason.")
@click.option("--unsure", is_flag=True, help="List the tracks nobody is sure of, likeliest guess first.")
@database_flags
@json_flag
def status(failed: bool, unsure: bool, db: Path | None, config_file: Path | None, as_json: bool) -> None:
    """What is in the library: tracks by outcome, genres, failures."""
    from music_reclass.domain import Outcome
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.store import Library

    database = open_library(db, config_file)
    decisions = Decisions(database)
    if failed or unsure:
        wanted = {Outcome.FAILED, Outcome.SKIPPED} if failed else {Outcome.UNSURE}
        _list(decisions, wanted, as_json)
        return
    totals, counts = Library(database).totals(), decisions.counts()
    if as_json:
        print_json({"database": str(database.path), **totals, **counts})
        return
    say("library", f"{totals['tracks']:,} tracks, {totals['missing']:,} missing  ({shorten_home(str(database.path))})")
    say("outcomes", " · ".join(f"{name} {count:,}" for name, count in counts["outcomes"].items()) or "none yet")
    for reason, count in counts["reasons"].items():
        say("", f"{reason} {count:,}")
    for genre, count in counts["genres"].items():
        say("", f"{genre:<18} {count:>8,}")


def _list(decisions: Decisions, wanted: set[Outcome], as_json: bool) -> None:
    for state in decisions.below():
        if state.outcome is None or state.outcome not in wanted:
            continue
        guess = state.decision.votes[0].top(1) if state.decision and state.decision.votes else []
        reason = state.error.reason if state.error else (state.decision.reason if state.decision else "")
        detail = state.error.detail if state.error else "".join(f"{genre} {p:.2f}" for genre, p in guess)
        if as_json:
            print_json({"path": state.path, "outcome": state.outcome.value, "reason": reason, "detail": detail})
        else:
            plain(f"{state.outcome.value:<8} {reason:<16} {printable(shorten_home(state.path))}  {detail}")


@click.command()
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "m3u"]), default="csv", show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write (csv, jsonl; default: stdout) or folder (m3u)."
)
@database_flags
def export(kind: str, out: Path | None, db: Path | None, config_file: Path | None) -> None:
    """Every track with its decision, as CSV, JSON lines, or one M3U playlist per genre."""
    from music_reclass.cli import exporting
    from music_reclass.features.decisions import Decisions

    states = Decisions(open_library(db, config_file)).below()
    if kind == "m3u":
        folder = out or Path("playlists")
        for name, count in exporting.playlists(states, folder).items():
            say("playlist", f"{folder / name}  {count:,} tracks")
        return
    exporting.table(states, kind, out)
