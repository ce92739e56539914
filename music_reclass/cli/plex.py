"""Plex: what is there, which folder is which, what it holds, and a trial on one track."""

from __future__ import annotations

import os
from pathlib import Path

import click

from music_reclass.cli import plex_report as report
from music_reclass.cli import plex_sync
from music_reclass.cli.options import database_flags, json_flag, settings_from, write_flags
from music_reclass.cli.output import print_json, printable, say
from music_reclass.cli.plex_options import library_flag, map_flag, may_write, path_map


@click.group()
def plex() -> None:
    """Bring the decisions into a Plex library, safely, and take them back."""


for command in (plex_sync.diff, plex_sync.sync, plex_sync.restore, plex_sync.unlock):
    plex.add_command(command)


@plex.command()
@library_flag
@database_flags
@json_flag
def check(library: str | None, db: Path | None, config_file: Path | None, as_json: bool) -> int:
    """Whether the server answers, and whether its tracks can carry genres."""
    from music_reclass.tagging.plex.server import connect

    settings = settings_from(config_file, db=db, plex_library=library)
    server = connect(settings)
    section = server.music(settings.plex_library)
    carries = server.carries_genres(section, "track")
    if as_json:
        print_json(
            {
                "server": server.client.name, "version": server.client.version, "library": section.title,
                "locations": list(section.locations), "track_genres": carries,
            }
        )  # fmt: skip
        return 0
    say("server", f"{printable(server.client.name)}, Plex Media Server {printable(server.client.version)}")
    say("library", f"{printable(section.title)}: {', '.join(map(printable, section.locations))}")
    say("tracks", "can carry genres" if carries else "carry no genre here: use --level album")
    return 0


@plex.command()
@database_flags
@json_flag
def libraries(db: Path | None, config_file: Path | None, as_json: bool) -> None:
    """The libraries of the server."""
    from music_reclass.tagging.plex.server import connect

    for one in connect(settings_from(config_file, db=db)).sections():
        if as_json:
            print_json({"number": one.key, "title": one.title, "type": one.kind, "locations": list(one.locations)})
        else:
            say(str(one.key), f"{printable(one.title):<24} {one.kind:<8} {', '.join(map(printable, one.locations))}")


@plex.command("map")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@library_flag
@map_flag
@write_flags
def map_folders(
    folders: tuple[Path, ...], library: str | None, pairs: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool,
    db: Path | None, config_file: Path | None,
) -> int:  # fmt: skip
    """Find out which folder of the server is which folder here, from the library or from the files below FOLDERS."""
    from music_reclass.cli.session import session
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.features.plex_library import local_tracks
    from music_reclass.tagging.plex.planning import inferred, listing
    from music_reclass.tagging.plex.server import connect
    from music_reclass.utils.walk import walk

    settings = settings_from(config_file, db=db, plex_library=library)
    server = connect(settings)
    section = server.music(settings.plex_library)
    with session(settings, "plex map") as work:
        here = [track.path for track in local_tracks(work.database)]
        here += [found.path for found in walk([str(folder) for folder in folders])]
        found = inferred(section, listing(server, section), here)
        mapped = path_map(pairs).over(found.path_map)
        report.show_map(found, mapped, as_json)
        storing = bool(mapped.pairs) and not dry_run
        if storing:
            journal = PlexJournal(work.journal.database)
            known = journal.server(server.client.machine, server.client.name)
            journal.remember_mapping(known.id, mapped.as_dict())
        if not as_json:
            say("stored", "yes" if storing else "no")
    return 0 if mapped.pairs else 3


@plex.command("import")
@library_flag
@map_flag
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@write_flags
def import_tracks(
    library: str | None, pairs: tuple[str, ...], folders: tuple[Path, ...], dry_run: bool, yes: bool, as_json: bool,
    db: Path | None, config_file: Path | None,
) -> int:  # fmt: skip
    """Take what a Plex library holds into the library here; FOLDERS help to find out which folder is which.

    Only the library database is written, so nothing is asked.
    """
    from music_reclass.cli.session import session
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.features.plex_library import local_tracks
    from music_reclass.tagging.plex.chain import map_for
    from music_reclass.tagging.plex.importing import import_library
    from music_reclass.tagging.plex.server import connect
    from music_reclass.tagging.plex.sync import server_in_journal
    from music_reclass.utils.walk import walk

    settings = settings_from(config_file, db=db, plex_library=library)
    server = connect(settings)
    section = server.music(settings.plex_library)
    with session(settings, "plex import") as work:
        journal = PlexJournal(work.journal.database)
        known = server_in_journal(server, journal)
        here = [track.path for track in local_tracks(work.database)]
        here += [found.path for found in walk([str(folder) for folder in folders])]
        mapped = map_for(server, section, journal, known, path_map(pairs), here, storing=not dry_run)
        done = import_library(
            server, section, work.database, known, mapped, lambda: bool(work.stop), dry_run=dry_run
        )  # fmt: skip
        report.show_import(section.title, done, dry_run, as_json)
        return 130 if work.stop else (0 if done.new + done.known else 3)


@plex.command()
@click.argument("track")
@library_flag
@map_flag
@write_flags
def selftest(
    track: str, library: str | None, pairs: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool,
    db: Path | None, config_file: Path | None,
) -> int:  # fmt: skip
    """Try on one TRACK (its file or rating key) what was never tried on your server, and put it back."""
    from music_reclass.cli.session import session
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.tagging.plex.mapping import PathMap
    from music_reclass.tagging.plex.selftest import find_track
    from music_reclass.tagging.plex.selftest import selftest as steps
    from music_reclass.tagging.plex.server import connect
    from music_reclass.tagging.plex.sync import server_in_journal

    settings = settings_from(config_file, db=db, plex_library=library)
    server = connect(settings)
    section = server.music(settings.plex_library)
    with session(settings, "plex selftest") as work:
        journal = PlexJournal(work.journal.database)
        known = server_in_journal(server, journal)
        mapped = path_map(pairs).over(PathMap(tuple(known.mapping.items())))
        named = track if track.isdigit() or "\\" in track else os.path.abspath(os.path.expanduser(track))
        key = find_track(server, section, named, mapped)
        if not may_write(1, f"track (number {key}), and put it back", dry_run, yes, as_json):
            return 0
        run = work.journal.begin_run("plex selftest", {"library": section.title, "track": key})
        bad = report.show_steps(steps(server, section, key, journal, known, run), as_json)
        work.journal.finish_run(run, {"bad": bad})
        return 1 if bad else 0
