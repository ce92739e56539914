"""The flags that the Plex commands share, and what they make of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from music_reclass.cli.output import complain, interactive

if TYPE_CHECKING:
    from music_reclass.tagging.plex.mapping import PathMap
    from music_reclass.tagging.plex.planning import Request

Command = TypeVar("Command", bound=Callable[..., Any])
MODES = ("auto", "fill", "add", "set")
LEVELS = ("track", "album", "artist", "auto")

library_flag = click.option("--library", metavar="NAME", help="Which music library (default: the only one).")
map_flag = click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="SERVER=LOCAL",
    help="A folder of the server and the same here; repeatable.",
)


def compare_flags(command: Command) -> Command:
    """What `diff` and `sync` have in common."""
    for flag in (
        click.option("--allow-partial", is_flag=True, help="Go on though many tracks are not known here."),
        click.option("--match-words", is_flag=True, help="Where no path fits: artist, album, title and length."),
        click.option("--track-subgenres", is_flag=True, help="Sub-genres beside the top genre of tracks."),
        click.option("--label", default="", metavar="WORD", help="Mark what is written with this label."),
        click.option("--override-locks", is_flag=True, help="Write fields, too, that somebody has locked."),
        click.option("--keep-lock", "lock", flag_value="keep", help="Leave locks as they are."),
        click.option("--no-lock", "lock", flag_value="unlock", help="Leave what is written unlocked."),
        click.option(
            "--lock", "lock", flag_value="lock", default="lock",
            help="Lock what is written, or the next refresh takes it back (default).",
        ),
        click.option(
            "--mode", type=click.Choice(MODES), default="auto", show_default=True,
            help="auto: replace ours and what says nothing, add to the rest; fill: empty and junk only; "
            "add: never remove; set: replace, but never a finer genre by its parent.",
        ),
        click.option(
            "--level", type=click.Choice(LEVELS), default="track", show_default=True,
            help="auto: tracks, or albums where this server's tracks carry no genre.",
        ),
        map_flag, library_flag,
    ):  # fmt: skip
        command = flag(command)
    return command


def path_map(pairs: tuple[str, ...]) -> PathMap:
    """The pairs of --map; folders here as the library writes them: absolute, symlinks followed."""
    from music_reclass.tagging.plex.mapping import PathMap, parse_pair

    parsed = map(parse_pair, pairs)
    return PathMap(tuple((server, os.path.realpath(os.path.expanduser(local))) for server, local in parsed))


def request_from(pairs: tuple[str, ...], level: str, mode: str, lock: str, flags: dict[str, Any]) -> Request:
    """What to compare, from the words of `compare_flags`."""
    from music_reclass.tagging.plex.diff import Rules
    from music_reclass.tagging.plex.planning import Request

    rules = Rules(mode=mode, lock=lock, override_locks=flags["override_locks"], label=flags["label"])
    return Request(
        level=level, rules=rules, given=path_map(pairs), by_words=flags["match_words"],
        subgenres=flags["track_subgenres"],
    )  # fmt: skip


def may_write(count: int, what: str, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Whether to write `count` of `what`: as the flags say, else as somebody at the terminal says."""
    if not count or dry_run:
        return False
    if yes:
        return True
    if as_json or not interactive():
        complain(f"nothing was written: without a terminal, {count:,} {what} are written only with --yes.")
        return False
    return click.confirm(f"\nwrite {count:,} {what}?", default=False)
