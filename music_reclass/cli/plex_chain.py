"""What `scan` does with Plex: its files as the roots, and after writing the same genres into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from music_reclass.cli.output import complain, print_json, say
from music_reclass.cli.plex_options import path_map
from music_reclass.cli.plex_report import outcome_as_json, show_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from music_reclass.cli.session import Session


def roots_in_plex(work: Session, library: str, pairs: tuple[str, ...], paths: Sequence[str]) -> tuple[str, ...]:
    """The files here that a Plex library holds; those below `paths` only, where some are named."""
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.tagging.plex.chain import files_of_library
    from music_reclass.utils.walk import walk

    journal = PlexJournal(work.journal.database)
    here = [found.path for found in walk(list(paths))]
    files = files_of_library(
        work.settings, library, work.database, journal, path_map(pairs), here, lambda: bool(work.stop)
    )
    wanted = set(here)
    return tuple(file for file in files if file in wanted) if paths else files


def sync_after(work: Session, library: str, written: Sequence[str], as_json: bool) -> int:
    """Refresh the folders of the files `written` on the server and write their genres there; the exit code."""
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.tagging.plex.chain import sync_written

    done = sync_written(
        work.settings, library, work.database, work.journal, PlexJournal(work.journal.database), work.taxonomy,
        written, lambda: bool(work.stop),
    )  # fmt: skip
    if done.warning:
        complain(done.warning)
    if as_json:
        print_json({"plex": {"run": done.run, "folders": done.folders, **outcome_as_json(done.outcome)}})
    elif done.run is None:
        say("plex", f"{done.folders:,} folders looked into; nothing to write")
    else:
        show_outcome(done.outcome, f"take it back: reclass undo {done.run}")
    return 1 if done.outcome.failed or done.outcome.changed else 0
