"""`plex`: check, libraries, map, import, diff, sync, restore, unlock, selftest; and what `scan` does with Plex."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli import plex_output as output
from music_reclass.cli.options import Choice, Commands, choice_flags, json_flag, map_flag, setting_flags
from music_reclass.cli.output import complain, confirm, print_json, printable, say
from music_reclass.cli.plex_output import compare_flags, path_map
from music_reclass.config import Secret
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.plex.http import Server
    from music_reclass.plex.library import PlexLibrary
    from music_reclass.plex.model import ItemEdit, Section
    from music_reclass.plex.plan import SyncRequest
    from music_reclass.plex.write import Outcome


@click.group(cls=Commands)
def plex() -> None:
    """Bring the decisions into a Plex library, safely, and take them back."""


@plex.command()
@compare_flags
@json_flag
@setting_flags("min_confidence", "plex_library")
def diff(*, pairs: tuple[str, ...], as_json: bool, settings: Settings, **flags: Any) -> None:
    """What would change on the server, and why; nothing is written."""
    from music_reclass.cli.session import reading
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.library import PlexLibrary
    from music_reclass.plex.plan import plan_sync
    from music_reclass.taxonomy import load

    request = _request(min_confidence=settings.min_confidence, **flags)
    with reading(settings) as database:
        server, section = _connect(settings)
        library = PlexLibrary(server, section, PlexJournal(database), given=path_map(pairs))
        plan = plan_sync(library, request, load(settings.taxonomy))
    output.show_plan(plan, as_json)


@plex.command()
@compare_flags
@choice_flags
@setting_flags("min_confidence", "plex_library", "wait")
def sync(*, pairs: tuple[str, ...], choice: Choice, settings: Settings, **flags: Any) -> int:
    """Write the decisions into the Plex library: shown first, verified after, and restored by `plex restore`."""
    from music_reclass.plex.plan import plan_sync

    request = _request(min_confidence=settings.min_confidence, **flags)
    with _writing(settings, "plex sync", pairs, must_exist=True) as (work, target):
        plan = plan_sync(target, request, work.taxonomy)
        if work.stop:
            complain("Stopped as you asked; nothing was written.")
            return 130
        output.show_plan(plan, choice.as_json)
        if not plan.edits or not confirm(f"Write {counted(len(plan.edits), 'item')} of the Plex library?", choice):
            return 0
        target.store_map()
        run, outcome = _write(
            work, target, plan.edits, "plex sync",
            server=target.server.client.name, level=",".join(plan.levels), mode=request.mode,
        )  # fmt: skip
        output.show_outcome(outcome, run, choice.as_json, then=f"restore it: reclass plex restore {run}")
        return _code(outcome)


@plex.command()
@click.argument("run", type=int, required=False)
@click.option(
    "--force",
    is_flag=True,
    help="Bring the old genres back even where somebody has set others since, or where another item is found.",
)
@choice_flags
@setting_flags("wait")
def restore(run: int | None, force: bool, choice: Choice, settings: Settings) -> int:
    """Restore what RUN changed, by default the newest run that stands on a server, where it still holds that."""
    return restore_run(settings, run, force, choice)


def restore_run(settings: Settings, run: int | None, force: bool, choice: Choice) -> int:
    """Restore what a run changed on the server, by default the newest that stands there; the exit code."""
    from music_reclass.cli.session import reading, writing
    from music_reclass.errors import NothingToDo
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex import write
    from music_reclass.plex.login import connect

    with reading(settings):
        pass  # a library that is not there is said before the server is asked
    server = connect(settings, complain)
    with writing(settings, "plex restore") as work:
        journal = PlexJournal(work.journal.database)
        write.settle_open(server, journal)
        number = run if run is not None else journal.last_standing_run()
        if number is None:
            raise NothingToDo("There is nothing to restore: no run has written anything that still stands on Plex.")
        rows, settled = write.plan_restore(server, journal, number, force=force)
        edits = [row.edit for row in rows if row.edit is not None]
        left = int(any(row.edit is None for row in rows))
        output.show_restore_plan(number, rows, choice.as_json)
        if edits and not confirm(f"Restore {counted(len(edits), 'item')} of the Plex library?", choice):
            return left
        if not choice.dry_run:
            journal.settle(settled)
        if not edits:
            return left
        outcome = write.restore(server, journal, edits, stop=lambda: bool(work.stop))
        output.show_outcome(outcome, number, choice.as_json, verb="restored")
        return max(_code(outcome), left)


@plex.command()
@choice_flags
@setting_flags("plex_library", "wait")
def unlock(choice: Choice, settings: Settings) -> int:
    """Release the locks that `plex sync` has set; the genres stay until the server reads them again from the files."""
    from music_reclass.plex.write import unlocking

    with _writing(settings, "plex unlock", must_exist=True) as (work, target):
        edits = unlocking(target)
        if not choice.as_json:
            say("locks", f"{counted(len(edits), 'item')} with a lock of ours")
        if not edits or not confirm(f"Release the locks of {counted(len(edits), 'item')}?", choice):
            return 0
        run, outcome = _write(work, target, edits, "plex unlock")
        output.show_outcome(outcome, run, choice.as_json, then=f"restore it: reclass plex restore {run}")
        return _code(outcome)


@plex.command()
@click.option("--server", "name", default="", metavar="NAME", help="Which of several servers of the account.")
@click.option("--browser", is_flag=True, help="Open the page for the code in a browser.")
@json_flag
@setting_flags("plex_token_file", with_db=False, with_file=True)
def login(name: str, browser: bool, as_json: bool, settings: Settings, config_file: Path | None) -> int:
    """Log in at plex.tv by a code, find the address of your server, and keep both.

    The token goes into a file that you alone can read, the address and the place of that file into the configuration
    file. Do it again when Plex does not accept the token any more.
    """
    from music_reclass.config import default_file
    from music_reclass.plex import login as steps
    from music_reclass.plex.http import NO_OWNER, Client, is_local

    def show(code: str) -> None:
        complain(f"Open {steps.LINK} in a browser, sign in as the server's owner, and enter {printable(code)}")
        complain("Waiting for that; Ctrl-C stops.")
        if browser:
            click.launch(steps.LINK)

    servers = steps.choose(steps.servers_of(steps.link(show)), name)
    server = servers[0] if len(servers) == 1 else output.ask_server(servers)
    url, token = steps.address_of(server), Secret(server.accessToken or "")
    Client(url, token, identifier=steps.client_identifier(), timeout=settings.plex_timeout, log=complain)
    config = config_file or default_file()
    kept = steps.store(url, token, config, settings.plex_token_file)
    output.show_login(server.name, url, (kept, config), as_json)
    if not is_local(url):
        complain("No address in this network answered: this one leads through the internet, which is slower.")
    if not server.owned:
        complain(NO_OWNER)
    return 0 if server.owned else 5


@plex.command()
@json_flag
@setting_flags("plex_library")
def check(as_json: bool, settings: Settings) -> int:
    """Whether the server answers, whether the token is its owner's, and whether its tracks can carry genres."""
    from music_reclass.plex.http import NO_OWNER

    server, section = _connect(settings)
    carries = server.carries_genres(section, "track")
    tracks = server.sample(section, 50)
    is_owner = not tracks or any(one.files for one in tracks)
    if as_json:
        print_json(
            {
                "server": server.client.name, "version": server.client.version, "library": section.title,
                "locations": list(section.locations), "track_genres": carries, "owner": is_owner,
            }
        )  # fmt: skip
    else:
        say("server", f"{printable(server.client.name)}, Plex Media Server {printable(server.client.version)}")
        say("library", f"{printable(section.title)}: {', '.join(map(printable, section.locations))}")
        say("tracks", "can carry genres" if carries else "carry no genre here: use --level album")
    if not is_owner:
        complain(NO_OWNER)
    return 0 if is_owner else 5


@plex.command()
@json_flag
@setting_flags()
def libraries(as_json: bool, settings: Settings) -> None:
    """The libraries of the server."""
    from music_reclass.plex.login import connect

    for one in connect(settings, complain).sections():
        if as_json:
            print_json({"number": one.key, "title": one.title, "type": one.kind, "locations": list(one.locations)})
        else:
            say(str(one.key), f"{printable(one.title):<24} {one.kind:<8} {', '.join(map(printable, one.locations))}")


@plex.command("map")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@map_flag
@choice_flags
@setting_flags("plex_library", "wait")
def map_folders(folders: tuple[Path, ...], pairs: tuple[str, ...], choice: Choice, settings: Settings) -> int:
    """Find out which folder of the server is which folder here, from the library or from the files below FOLDERS."""
    with _writing(settings, "plex map", folders=folders, settle=False) as (_, target):
        found = target.infer_map()
        mapped = path_map(pairs).over(found)
        output.show_map(found, mapped, choice.as_json)
        is_stored = bool(mapped.pairs) and not choice.dry_run
        if is_stored:
            target.store_map(mapped)
        if not choice.as_json:
            say("stored", "yes" if is_stored else "no")
    return 0 if mapped.pairs else 3


@plex.command("import")
@map_flag
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@choice_flags
@setting_flags("plex_library", "wait")
def import_tracks(pairs: tuple[str, ...], folders: tuple[Path, ...], choice: Choice, settings: Settings) -> int:
    """Take what a Plex library holds into the library here; FOLDERS help to find out which folder is which.

    Only the library database is written, so nothing is asked.
    """
    with _writing(settings, "plex import", pairs, folders) as (work, target):
        if not choice.dry_run:
            target.store_map()
        done = target.import_tracks(dry_run=choice.dry_run)
        output.show_import(target.section.title, done, choice)
        return 130 if work.stop else (0 if done.new + done.known else 3)


@plex.command()
@click.argument("track")
@map_flag
@choice_flags
@setting_flags("plex_library", "wait")
def selftest(track: str, pairs: tuple[str, ...], choice: Choice, settings: Settings) -> int:
    """Try on one TRACK (its file or rating key) what was never tried on your server, and put it back."""
    from music_reclass.plex import selftest as steps

    with _writing(settings, "plex selftest", pairs) as (work, target):
        named = track if track.isdigit() or "\\" in track else os.path.abspath(os.path.expanduser(track))
        key = steps.find_track(target, named)
        if not confirm(f"Edit the track number {key}, and put it back?", choice):
            return 0
        run = work.journal.begin_run("plex selftest", {"library": target.section.title, "track": key})
        bad = output.show_steps(steps.selftest(target, key, run), choice.as_json)
        work.journal.finish_run(run, {"bad": bad})
        return 1 if bad else 0


def files_in_plex(work: Session, pairs: tuple[str, ...], paths: Sequence[str]) -> tuple[str, ...]:
    """For `scan --plex`: the files here that the Plex library holds, imported just now; below `paths`, where named."""
    from music_reclass.errors import NothingToDo

    here = _files_below(paths)
    target = _open(work, pairs, here)
    target.store_map()
    files = tuple(target.import_tracks().files)
    if not files:
        raise NothingToDo(
            f"No track of the Plex library {target.section.title} is a file here; look at `reclass plex map`, "
            "or name the folders with --map SERVER=LOCAL."
        )
    wanted = set(here)
    return tuple(file for file in files if file in wanted) if paths else files


def sync_after_scan(work: Session, pairs: tuple[str, ...], written: Sequence[str], as_json: bool) -> int:
    """For `scan --sync-plex`: refresh the folders of the files `written` and write their genres; the exit code.

    The refresh comes first and the edit locks its field: what the server reads from the files does not replace it.
    """
    from music_reclass.plex.plan import SyncRequest, plan_sync
    from music_reclass.plex.write import Outcome

    target = _open(work, pairs)
    request = SyncRequest(only=frozenset(written), allow_partial=True, min_confidence=work.settings.min_confidence)
    folders = target.refresh(written)
    plan = plan_sync(target, request, work.taxonomy)
    target.store_map()
    if plan.warning:
        complain(plan.warning)
    run, outcome = None, Outcome(stopped=bool(work.stop))
    if plan.edits and not outcome.stopped:
        run, outcome = _write(work, target, plan.edits, "plex sync", files=len(written))
    unknown = target.unknown(written)
    if as_json:
        print_json({"plex": {"run": run, "folders": folders, **output.outcome_as_json(outcome), "unknown": unknown}})
    elif run is None and not outcome.stopped:
        say("plex", f"{counted(folders, 'folder')} scanned; nothing to write")
    elif run is not None:
        output.show_outcome(outcome, run, as_json, then=f"undo it: reclass undo {run}")
    if outcome.stopped:
        complain("Stopped as you asked; reclass plex sync brings the genres that Plex does not hold yet.")
        return 130
    if unknown and not as_json:
        output.show_unknown(unknown, len(written))
    return 1 if outcome.failed or outcome.changed or unknown else 0


def _request(*, match_words: bool, track_subgenres: bool, mode: str | None, **flags: Any) -> SyncRequest:
    """What to compare, from the flags of `compare_flags`."""
    from music_reclass.plex.plan import SyncRequest

    return SyncRequest(by_tags=match_words, subgenres=track_subgenres, mode=mode or "", **flags)


def _connect(settings: Settings) -> tuple[Server, Section]:
    """The server and music library that the settings name."""
    from music_reclass.plex.login import connect

    server = connect(settings, complain)
    return server, server.music(settings.plex_library)


def _open(
    work: Session, pairs: tuple[str, ...] = (), local_files: Sequence[str] = (), *, settle: bool = True
) -> PlexLibrary:
    """The library that the settings name, edits of killed runs settled."""
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.library import PlexLibrary
    from music_reclass.plex.write import settle_open

    server, section = _connect(work.settings)
    journal = PlexJournal(work.journal.database)
    if settle:
        settle_open(server, journal)
    return PlexLibrary(
        server, section, journal, given=path_map(pairs), local_files=local_files, stop=lambda: bool(work.stop)
    )


@contextmanager
def _writing(
    settings: Settings,
    command: str,
    pairs: tuple[str, ...] = (),
    folders: Sequence[Path] = (),
    *,
    must_exist: bool = False,
    settle: bool = True,
) -> Iterator[tuple[Session, PlexLibrary]]:
    """Hold the library here for a command that may write to a Plex library."""
    from music_reclass.cli.session import writing

    with writing(settings, command, must_exist=must_exist) as work:
        yield work, _open(work, pairs, _files_below(folders), settle=settle)


def _write(
    work: Session, target: PlexLibrary, edits: list[ItemEdit], command: str, **arguments: object
) -> tuple[int, Outcome]:
    """Write the edits as one run of the journal: its number, and how it went."""
    from music_reclass.errors import ServerError
    from music_reclass.plex.write import write

    run = work.journal.begin_run(command, {"library": target.section.title, **arguments})
    try:
        outcome = write(target, edits, run)
    except ServerError:
        complain(f"What was sent before is logged: {command} goes on from there, plex restore {run} takes it back.")
        raise
    work.journal.finish_run(run, {"written": outcome.written, "failed": len(outcome.failed)})
    return run, outcome


def _code(outcome: Outcome) -> int:
    if outcome.stopped:
        complain("Stopped as you asked; what was sent is verified and logged: the same command goes on from here.")
        return 130
    return 1 if outcome.failed or outcome.changed else 0


def _files_below(folders: Sequence[Path | str]) -> list[str]:
    from music_reclass.utils.files import walk

    return [found.path for found in walk([str(folder) for folder in folders])]
