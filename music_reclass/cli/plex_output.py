"""Options and output that the Plex commands share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from music_reclass.cli.options import map_flag
from music_reclass.cli.output import (
    cell,
    choose,
    complain,
    interactive,
    plain,
    print_json,
    printable,
    say,
    shorten_home,
    styled,
)
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from music_reclass.cli.options import Choice
    from music_reclass.domain import Finding
    from music_reclass.plex.library import ImportReport
    from music_reclass.plex.paths import PathMap
    from music_reclass.plex.plan import Row, SyncPlan
    from music_reclass.plex.write import Outcome

Command = TypeVar("Command", bound=Callable[..., Any])
MODES = ("auto", "fill", "add", "set")
LEVELS = ("track", "album", "artist", "auto")


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
            "--mode", type=click.Choice(MODES), show_default="auto for tracks, else fill",
            help="auto: replace ours and what says nothing, add to the rest; fill: empty, junk and ours only; "
            "add: never remove; set: replace, but never a finer genre by its parent.",
        ),
        click.option(
            "--level", type=click.Choice(LEVELS), default="auto", show_default=True,
            help="auto: albums and tracks, or albums alone where this server's tracks carry no genre.",
        ),
        map_flag,
    ):  # fmt: skip
        command = flag(command)
    return command


def path_map(pairs: tuple[str, ...]) -> PathMap:
    """The pairs of --map; folders here as the library writes them: absolute, symlinks followed."""
    from music_reclass.plex.paths import PathMap, parse_pair

    parsed = map(parse_pair, pairs)
    return PathMap(tuple((server, os.path.realpath(os.path.expanduser(local))) for server, local in parsed))


SHOWN = 15  # albums shown to people; --json gives all
KINDS_SHOWN = 5  # lines of one album
LEFT_SHOWN = 10  # of a restore

REASONS = {
    "fill": "have no genre",
    "junk": "have one that says nothing",
    "merge": "get ours beside another one",
    "refine": "have a wider one",
    "conflict": "have another one",
    "ours": "have one from an earlier sync",
    "style": "get a style",
    "locked-by-user": "locked by somebody, and so left alone",
    "unsure": "nobody is sure of",
    "undecided": "not decided yet: scan them",
    "unmapped": "in no folder that is known here",
    "unscanned": "not scanned yet",
    "ambiguous": "several files with different decisions",
    "other-length": "another length than the file here: is the path map right?",
    "no-consensus": "whose tracks do not agree",
    "various-artists": "of various artists",
    "gone": "gone from the server",
}


def show_map(found: PathMap, path_map: PathMap, as_json: bool) -> None:
    """The pairs, each with the samples that speak for it."""
    votes = {server: count for (server, _), count in zip(found.pairs, found.votes, strict=True)}
    sampled = sum(found.votes) + len(found.unmatched)
    for server, local in path_map.pairs:
        if as_json:
            print_json({"server": server, "local": local, "matched": votes.get(server), "sampled": sampled})
        else:
            support = f"{votes[server]}/{sampled} matched" if server in votes else "given"
            plain(f"'{printable(server)}' -> '{printable(shorten_home(local))}'  {support}")
    if not path_map.pairs and not as_json:
        plain("No folder of the server was found here: name the folders, or give --map SERVER=LOCAL.")
    for path in found.unmatched[:3] if not as_json else ():
        plain(f"  not here: {printable(path)}")


def show_plan(plan: SyncPlan, as_json: bool) -> None:
    """What was listed and found, the rows, and how many there are of each kind, most first."""
    if plan.warning:
        complain(f"Warning: {plan.warning}")
    if as_json:
        for row in plan.rows:
            print_json(_row_as_json(row))
        return
    say(
        "library",
        f"{printable(plan.section.title)}: {counted(plan.listed, 'track')}, {plan.matched:,} of them known here",
    )
    for server, local in plan.path_map.pairs:
        say("map", f"'{printable(server)}' -> '{printable(shorten_home(local))}'")
    albums: dict[str, list[Row]] = {}
    for row in plan.rows:
        if row.edit is not None:
            albums.setdefault(row.edit.item.group, []).append(row)
    for album, rows in list(albums.items())[:SHOWN]:
        _show_album(album, rows)
    if len(albums) > SHOWN:
        plain(f"    ... and {counted(len(albums) - SHOWN, 'more album')} (every item: plex diff --json)")
    actions = Counter(row.action for row in plan.rows)
    say("plan", " · ".join(f"{name} {actions[name]:,}" for name in ("set", "noop", "skip")))
    kinds = Counter((row.level, row.action, row.reason) for row in plan.rows)
    for (level, action, reason), count in kinds.most_common():
        say("", f"{counted(count, level):>14}  {action}: {REASONS.get(reason, reason)}")


def _row_as_json(row: Row) -> dict[str, Any]:
    """For `--json`: one object (docs/how-to/plex.md)."""
    others = {one.field: list(one.after) for one in row.edit.fields if one.field != "genre"} if row.edit else {}
    return {
        "action": row.action, "reason": row.reason, "level": row.level, "rating_key": row.key,
        "title": row.title, "path": row.path, "before": list(row.before), "after": list(row.after), **others,
    }  # fmt: skip


def _show_album(album: str, rows: Sequence[Row]) -> None:
    """One album: what it gets itself, and its tracks by what they hold and get."""
    plain(f"    {printable(album)}")
    kinds: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.level, ", ".join(row.before) or "(none)", _after(row)), []).append(row)
    for (level, before, after), same in list(kinds.items())[:KINDS_SHOWN]:
        one = same[0].edit.item.title if same[0].edit is not None and level == "track" else f"the {level}"
        plain(f"        {cell(one if len(same) == 1 else counted(len(same), level), 36)} {cell(before, 24)} -> {after}")
    if len(kinds) > KINDS_SHOWN:
        plain(f"        ... and {counted(sum(map(len, list(kinds.values())[KINDS_SHOWN:])), 'more track')}")


def _after(row: Row) -> str:
    """The genres that a row sets, and a style."""
    styles = [one.after for one in row.edit.fields if one.field == "style"] if row.edit is not None else []
    return styled(", ".join(row.after), "bold") + (f"  style: {printable(', '.join(styles[0]))}" if styles else "")


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """For the last line of --json."""
    return {
        "written": outcome.written,
        "failed": [{"title": title, "reason": why} for title, why in outcome.failed],
        "changed": [{"title": title, "reason": why} for title, why in outcome.changed],
        "stopped": outcome.stopped,
    }


def show_outcome(outcome: Outcome, run: int, as_json: bool, *, then: str = "", verb: str = "written") -> None:
    """What was written and verified, and what was not."""
    if as_json:
        print_json({"run": run, **outcome_as_json(outcome)})
        return
    say(
        verb,
        f"{counted(outcome.written, 'item')},{' each' * (outcome.written != 1)} read back and verified"
        + (f"; {then}" if then else ""),
    )
    for title, why in (*outcome.failed[:10], *outcome.changed[:10]):
        say("not", f"{printable(title)}: {why}")
    more = len(outcome.failed[10:]) + len(outcome.changed[10:])
    if more:
        say("", f"and {more:,} more")


def show_restore_plan(run: int, rows: Sequence[Row], as_json: bool) -> None:
    """The items that go back, and those that are left alone with the reason."""
    edits = [row.edit for row in rows if row.edit is not None]
    left = [row for row in rows if row.edit is None]
    if as_json:
        for edit in edits:
            fields = {one.field: list(one.after) for one in edit.fields}
            print_json({"action": "restore", "rating_key": edit.item.key, "title": edit.item.label, **fields})
        for row in left:
            print_json({"action": "leave", "rating_key": row.key, "title": row.title, "reason": row.reason})
        return
    say("run", f"{run}: {len(edits):,} to go back, {len(left):,} to be left alone")
    for row in left[:LEFT_SHOWN]:
        say("left", f"{printable(row.title)}: {row.reason}")
    if len(left) > LEFT_SHOWN:
        say("", f"and {len(left) - LEFT_SHOWN:,} more (--dry-run --json lists all)")


def show_import(title: str, done: ImportReport, choice: Choice) -> None:
    """How many tracks were imported."""
    if choice.as_json:
        print_json(
            {
                "listed": done.listed, "new": done.new, "known": done.known, "not_here": done.not_here,
                "gone": done.gone, "dry_run": choice.dry_run,
            }
        )  # fmt: skip
        return
    say("library", f"{printable(title)}: {counted(done.listed, 'track')}")
    say(
        "imported",
        f"{done.new:,} new, {done.known:,} known" + (" (dry run: nothing was stored)" if choice.dry_run else ""),
    )
    if done.not_here:
        say("", f"{counted(done.not_here, 'track')} without a file here: look at reclass plex map")


def show_unknown(files: Sequence[str], count: int) -> None:
    """The files of a scan that the server does not hold after it has scanned their folders."""
    complain(
        f"Plex does not hold {len(files):,} of the {counted(count, 'file')} written. What lies in the folders of "
        "its library comes with the next scan there; reclass plex sync then brings the genres."
    )
    for path in files[:LEFT_SHOWN]:
        complain(f"  {printable(shorten_home(path))}")
    if len(files) > LEFT_SHOWN:
        complain(f"  and {len(files) - LEFT_SHOWN:,} more (--json lists all)")


def ask_server(servers: Sequence[Any]) -> Any:
    """The server that somebody at the terminal chooses; UsageError that names them where there is nobody."""
    from music_reclass.errors import UsageError

    names = [printable(one.name) for one in servers]
    if not interactive():
        raise UsageError(f"The account has several servers; name one with --server: {', '.join(names)}.")
    for number, name in enumerate(names, start=1):
        plain(f"{number:>3}  {name}")
    return servers[choose("Which server?", len(servers)) - 1]


def show_login(name: str, url: str, files: tuple[Path, Path], as_json: bool) -> None:
    """Which server was found where, the `files` (token, configuration) where that is kept, and what counts more."""
    token_file, config = files
    if as_json:
        print_json({"server": name, "url": url, "token_file": str(token_file), "config": str(config)})
        return
    say("server", f"{printable(name)} at {printable(url)}")
    say("kept", f"the token in {printable(shorten_home(str(token_file)))}, which you alone can read")
    say("", f"the address in {printable(shorten_home(str(config)))}")
    if os.environ.get("RECLASS_PLEX_URL"):
        complain("RECLASS_PLEX_URL is set and counts more than the address kept: unset it.")
    say("next", "reclass plex check")


def show_steps(steps: Iterable[Finding], as_json: bool) -> int:
    """Each step as it is done; how many were not as sync needs them."""
    bad = 0
    for step in steps:
        bad += step.fine is False
        if as_json:
            print_json({"step": step.name, "fine": step.fine, "seen": step.detail})
        else:
            mark = {True: styled("ok", "green"), False: styled("! ", "red"), None: "  "}[step.fine]
            plain(f"{mark}  {step.name:<34} {printable(step.detail)}")
    return bad
