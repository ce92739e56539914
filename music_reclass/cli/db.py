"""`db`: info, check, backup, restore, vacuum and relocate of the library; `forget` drops the files that are gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import FILE, Choice, Commands, choice_flags, force_flag, json_flag, setting_flags
from music_reclass.cli.output import complain, confirm, emit, plain, print_json, printable, say, shorten_home
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.features.database import Database
    from music_reclass.features.maintenance import Relocation

_SHOWN = 20  # forgotten files


@click.group(cls=Commands)
def db() -> None:
    """Look after the library database: its size, soundness, backups, and where the music lies."""


@db.command()
@click.argument("file", required=False, type=FILE)
@click.option("--out", type=FILE, help="The same as FILE.")
@force_flag
@setting_flags()
@json_flag
def backup(file: Path | None, out: Path | None, force: bool, as_json: bool, settings: Settings) -> None:
    """Copy the library database to FILE, also while a scan runs; by default beside it, where three are kept.

    The copy is read again before it counts. Before a command that writes this is done by itself, once a day.
    """
    from music_reclass.cli.output import check_output
    from music_reclass.cli.session import reading
    from music_reclass.features.backups import back_up, prune

    target = file or out
    if target is not None:
        check_output(target, force=force)
    with reading(settings) as library:
        made = back_up(library, target)
    if target is None:
        prune(settings.database)
    size = made.stat().st_size
    text = f"{printable(shorten_home(str(made)))} ({size / 1e6:,.1f} MB)"
    emit({"backup": str(made), "bytes": size}, text, as_json, "backup")


@db.command()
@click.argument("file", required=False, type=FILE)
@choice_flags
@setting_flags("wait")
def restore(file: Path | None, choice: Choice, settings: Settings) -> int:
    """Put a backup in the place of the library database: FILE, or by default the newest that is sound.

    The database that was there is kept beside it. What was written to music files since the backup stays in the
    files; its undo is in the database that was kept.
    """
    from music_reclass.cli.session import lease
    from music_reclass.features.backups import restore as put_back

    name = "the newest sound backup" if file is None else str(file)
    with lease(settings, "db restore"):
        if choice.dry_run or not confirm(f"Put {name} in the place of {settings.database}?", choice):
            return 0
        used, aside = put_back(settings.database, file)
    if choice.as_json:
        print_json({"restored": str(used), "kept": None if aside is None else str(aside)})
        return 0
    say("restored", printable(shorten_home(str(used))))
    if aside is not None:
        say("kept", f"what was there: {printable(shorten_home(str(aside)))}")
    return 0


@db.command()
@setting_flags()
@json_flag
def check(as_json: bool, settings: Settings) -> int:
    """Read the whole library database and say whether it is sound, and what cures it; list its backups."""
    from music_reclass.cli.session import reading
    from music_reclass.features.database import newest_backups
    from music_reclass.features.maintenance import findings, open_changes

    with reading(settings) as library:
        why = library.damage()
        found = [] if why else findings(library)
        pending = 0 if why else open_changes(library)
    backups = [str(backup) for backup in newest_backups(settings.database)]
    if as_json:
        result = {"database": str(settings.database), "sound": not (why or found), "damage": why}
        print_json({**result, "findings": found, "open_changes": pending, "backups": backups})
        return 4 if why or found else 0
    state = printable(why) or ("not as it should be" if found else "sound")
    say("library", f"{printable(shorten_home(str(settings.database)))}: {state}")
    for one in found:
        say("found", f"{one['count']:,} {printable(one['finding'])}; {one['cure']}")
    if pending:
        say(
            "open",
            f"{counted(pending, 'change')} of a run that is at work or was interrupted; the next command settles",
        )
    for backup in backups:
        say("backup", printable(shorten_home(backup)))
    if why:
        complain("Restore a backup: reclass db restore")
    return 4 if why or found else 0


@db.command()
@setting_flags()
@json_flag
def info(as_json: bool, settings: Settings) -> None:
    """What fills the library database, where it lies, its backups, and which command writes to it now."""
    from music_reclass.cli.session import reading
    from music_reclass.features.maintenance import info as info_of

    with reading(settings) as library:
        found = info_of(settings.database, library)
    if as_json:
        print_json(found)
        return
    log = f", {_megabytes(found['log_bytes'])} of log" if found["log_bytes"] else ""
    unused = f", {_megabytes(found['free_bytes'])} unused (reclass db vacuum)" if found["free_bytes"] else ""
    size = f"{_megabytes(found['bytes'])}, schema {found['schema']}{log}{unused}"
    say("library", f"{printable(shorten_home(str(settings.database)))} ({size})")
    disk = found["filesystem"]
    network = ", a network share: keep the database on a local disk" if disk["network"] else ""
    place = f"{printable(disk['kind'] or 'unknown')} at {printable(disk['mounted_at'] or '?')}"
    say("disk", f"{place}, {_megabytes(disk['free_bytes'])} free{network}")
    for name, table in found["tables"].items():
        if table["rows"]:
            taken = "" if table["bytes"] is None else f"  {_megabytes(table['bytes']):>12}"
            say("table", f"{printable(name):<16} {table['rows']:>12,}{taken}")
    for kind, vectors in found["kinds"].items():
        say("vectors", f"{printable(kind):<29} {vectors['vectors']:>12,}  {_megabytes(vectors['bytes']):>12}")
    for backup in found["backups"]:
        say("backup", f"{printable(shorten_home(backup['path']))} ({_megabytes(backup['bytes'])})")
    say("in use", printable(found["holder"] or "by no command that writes"))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@db.command()
@setting_flags("wait")
@json_flag
def vacuum(as_json: bool, settings: Settings) -> None:
    """Give the space that dropped vectors and tracks left in the database back to the disk.

    Needs twice the size of what is kept, for a while. Stopped in the middle, the database is as it was.
    """
    from contextlib import closing

    from music_reclass.cli.session import lease, require_library
    from music_reclass.features.database import Database
    from music_reclass.features.maintenance import vacuum as give_back
    from music_reclass.utils.progress import orderly_stop

    require_library(settings)
    with lease(settings, "db vacuum"), orderly_stop() as stop, closing(Database(settings.database)) as database:
        before, after = give_back(database, lambda: stop.requested)
    text = f"{_megabytes(before - after)} given back; the database takes {_megabytes(after)}"
    emit({"before": before, "after": after}, text, as_json, "vacuum")


@db.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--unseen", is_flag=True, help="Also where none of the files is at the new place, or can be seen there.")
@choice_flags
@setting_flags("wait")
def relocate(old: Path, new: Path, unseen: bool, choice: Choice, settings: Settings) -> int:
    """The music at OLD lies at NEW now: another folder, disk or mount. No file is read again, and undo still works.

    Shown first, with how many of the files are at the new place. Where nothing else lies at NEW, `relocate NEW OLD`
    takes it back.
    """
    from contextlib import closing

    from music_reclass.cli.session import lease, reading, require_library
    from music_reclass.errors import NothingToDo
    from music_reclass.features.database import Database
    from music_reclass.features.maintenance import plan_relocation
    from music_reclass.features.maintenance import relocate as move

    places = os.path.abspath(old.expanduser()), os.path.realpath(new.expanduser())
    if places[0] == places[1]:
        raise NothingToDo("The old place and the new one are the same.")
    if choice.dry_run:
        with reading(settings) as library:
            _show_relocation(library, plan_relocation(library, *places), choice, relocated=False)
        return 0
    require_library(settings)
    with lease(settings, "db relocate"), closing(Database(settings.database)) as library:
        plan = plan_relocation(library, *places)
        question = f"Let the library look for {counted(plan.tracks, 'track')} at {plan.new}?"
        _show_relocation(library, plan, choice)
        if plan.tracks and not plan.present and not unseen:
            raise NothingToDo(
                f"None of the {counted(plan.tracks, 'file')} is at {plan.new}: see whether the disk is mounted and the "
                "path is right, or say --unseen."
            )
        relocated = confirm(question, choice)
        if relocated:
            move(library, plan)
    if choice.as_json:
        print_json({**plan.as_json(), "relocated": relocated})
    elif relocated:
        say("relocated", f"{counted(plan.tracks, 'track')} and {counted(plan.changes, 'change')} of the journal")
    return 0


def _show_relocation(library: Database, plan: Relocation, choice: Choice, *, relocated: bool | None = None) -> None:
    """Look for the files, and say what was found; as JSON where it is known by now whether they were `relocated`."""
    from music_reclass.features.maintenance import look_for_files
    from music_reclass.utils.progress import progress_bar

    with progress_bar("looking", plan.tracks) as bar:
        look_for_files(library, plan, bar.advance)
    if choice.as_json:
        if relocated is not None:
            print_json({**plan.as_json(), "relocated": relocated})
        return
    for before, after in plan.examples:
        plain(f"    {printable(shorten_home(before))}\n -> {printable(shorten_home(after))}")
    if plan.tracks > len(plan.examples):
        plain(f"    and {plan.tracks - len(plan.examples):,} more")
    say("tracks", f"{counted(plan.tracks, 'track')}, {counted(plan.changes, 'change')} of the journal")
    other = f"; {plan.other_size:,} of another size" if plan.other_size else ""
    absent = f"; {plan.absent:,} not there" if plan.absent else ""
    say("files", f"{plan.present:,} at the new place{other}{absent}")


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@choice_flags
@setting_flags("wait")
def forget(paths: tuple[Path, ...], choice: Choice, settings: Settings) -> int:
    """Drop what the library knows of files that are gone, below PATHS or everywhere.

    Gone are files that a scan of their folder did not meet. Their vectors go with them, so a file that comes back is
    analysed anew; the journal stays, and undo still finds files that were moved.
    """
    from music_reclass.cli.session import writing
    from music_reclass.features.library import Library

    with writing(settings, "forget", must_exist=True) as work:
        library = Library(work.database)
        gone = library.missing([str(path.resolve()) for path in paths])
        if choice.as_json:
            for _, path in gone:
                print_json({"path": path})
        else:
            for _, path in gone[:_SHOWN]:
                plain(f"    {printable(shorten_home(path))}")
            if len(gone) > _SHOWN:
                plain(f"    and {len(gone) - _SHOWN:,} more (--json lists all)")
            say("gone", counted(len(gone), "file"))
        if gone and confirm(f"Forget {counted(len(gone), 'file')}?", choice):
            library.forget([track for track, _ in gone])
            if not choice.as_json:
                say("forgotten", counted(len(gone), "file"))
    return 0
