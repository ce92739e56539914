"""`doctor tags FILE`: what the programs that read a file's genre would see."""

from __future__ import annotations

from pathlib import Path

import click

from music_reclass.cli.options import json_flag
from music_reclass.cli.output import plain, print_json, printable, say


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_flag
def tags(file: Path, as_json: bool) -> None:
    """What Plex, Navidrome, Jellyfin and tag editors would read as the genre of FILE."""
    from music_reclass.errors import NothingToDo
    from music_reclass.tagging.as_read import blind_spots, readers

    if not file.exists():
        raise NothingToDo(f"{printable(str(file))} does not exist.")
    found = readers(file)
    notes = blind_spots(found)
    if as_json:
        seen = {reader.name: None if reader.values is None else list(reader.values) for reader in found}
        print_json({"path": str(file), "readers": seen, "notes": notes})
        return
    for reader in found:
        shown = "(no genre)" if reader.values is None else " | ".join(reader.values) or "(empty)"
        say(reader.name, f"{printable(shown):<40} {click.style(reader.programs, dim=True)}")
    for note in notes:
        plain(f"note: {printable(note)}")
