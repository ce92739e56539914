"""`db backup`, `db restore` and `db check` of the library database; `forget` drops the files that are gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import FILE, Choice, choice_flags, force_flag, json_flag, setting_flags
from music_reclass.cli.output import complain, confirm, emit, plain, print_json, printable, say, shorten_home

if TYPE_CHECKING:
    from music_reclass.config import Settings

_SHOWN = 20  # forgotten files


@click.group()
def db() -> None:
    """Back up, restore and check the library database."""


@db.command()
@click.option("--out", type=FILE, help="Where to write it (default: beside the database, where three are kept).")
@force_flag
@setting_flags()
@json_flag
def backup(out: Path | None, force: bool, as_json: bool, settings: Settings) -> None:
    """Copy the library database, also while a scan runs.

    Before a command that writes this is done by itself, once a day.
    """
    from music_reclass.cli.output import check_output
    from music_reclass.cli.session import reading
    from music_reclass.features.backups import back_up, prune

    if out is not None:
        check_output(out, force=force)
    with reading(settings) as library:
        made = back_up(library, out)
    if out is None:
        prune(settings.database)
    size = made.stat().st_size
    text = f"{printable(shorten_home(str(made)))} ({size / 1e6:,.1f} MB)"
    emit({"backup": str(made), "bytes": size}, text, as_json, "backup")


@db.command()
@click.argument("file", required=False, type=FILE)
@choice_flags
@setting_flags()
def restore(file: Path | None, choice: Choice, settings: Settings) -> int:
    """Put a backup in the place of the library database: FILE, or by default the newest that is sound.

    The database that was there is kept beside it. What was written to music files since the backup stays in the
    files; its undo is in the database that was kept.
    """
    from music_reclass.features.backups import restore as put_back
    from music_reclass.features.database import writing_lease

    name = "the newest sound backup" if file is None else str(file)
    with writing_lease(settings.database, "db restore"):
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
    """Read the whole library database and say whether it is sound; list its backups."""
    from music_reclass.cli.session import reading
    from music_reclass.features.database import newest_backups

    with reading(settings) as library:
        why = library.damage()
    backups = [str(backup) for backup in newest_backups(settings.database)]
    if as_json:
        print_json({"database": str(settings.database), "sound": not why, "damage": why, "backups": backups})
        return 4 if why else 0
    say("library", f"{printable(shorten_home(str(settings.database)))}: {printable(why) or 'sound'}")
    for backup in backups:
        say("backup", printable(shorten_home(backup)))
    if why:
        complain("Restore a backup: reclass db restore")
    return 4 if why else 0


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@choice_flags
@setting_flags()
def forget(paths: tuple[Path, ...], choice: Choice, settings: Settings) -> int:
    """Drop what the library knows of files that are gone, below PATHS or everywhere.

    Gone are files that a scan of their folder did not meet. Their vectors go with them, so a file that comes back is
    analysed anew; the journal stays, and undo still finds files that were moved.
    """
    from music_reclass.cli.session import writing
    from music_reclass.features.library import Library
    from music_reclass.report.text import counted

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
