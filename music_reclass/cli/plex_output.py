"""Options and output that the Plex commands share, and what `scan` does with Plex."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from music_reclass.cli.output import complain, interactive, plain, print_json, printable, say, shorten_home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from music_reclass.cli.session import Session
    from music_reclass.plex.diff import Row
    from music_reclass.plex.library import ImportReport
    from music_reclass.plex.model import ItemEdit
    from music_reclass.plex.paths import Inference, PathMap
    from music_reclass.plex.plan import SyncRequest
    from music_reclass.plex.restore import RestorePlan
    from music_reclass.plex.selftest import Step
    from music_reclass.plex.sync import Comparison
    from music_reclass.plex.write import Outcome

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
    from music_reclass.plex.paths import PathMap, parse_pair

    parsed = map(parse_pair, pairs)
    return PathMap(tuple((server, os.path.realpath(os.path.expanduser(local))) for server, local in parsed))


def request_from(pairs: tuple[str, ...], level: str, mode: str, lock: str, flags: dict[str, Any]) -> SyncRequest:
    """What to compare, from the words of `compare_flags`."""
    from music_reclass.plex.diff import Rules
    from music_reclass.plex.plan import SyncRequest

    rules = Rules(mode=mode, lock=lock, override_locks=flags["override_locks"], label=flags["label"])
    return SyncRequest(
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


SHOWN = 24  # rows shown to people; --json gives all

REASONS = {
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


def show_map(found: Inference, path_map: PathMap, as_json: bool) -> None:
    """The pairs, each with the samples that speak for it."""
    votes = {server: count for server, _, count in found.pairs}
    for server, local in path_map.pairs:
        if as_json:
            print_json({"server": server, "local": local, "matched": votes.get(server), "sampled": found.sampled})
        else:
            support = f"{votes[server]}/{found.sampled} matched" if server in votes else "given"
            plain(f"'{printable(server)}' -> '{printable(shorten_home(local))}'  {support}")
    if not path_map.pairs and not as_json:
        plain("no folder of the server was found here: name the folders, or give --map SERVER=LOCAL.")
    for path in found.unmatched[:3] if not as_json else ():
        plain(f"  not here: {printable(path)}")


def show_survey(found: Comparison, as_json: bool) -> None:
    """What was listed and found, and the warning where there is one."""
    if found.warning:
        complain(f"warning: {found.warning}")
    if as_json:
        return
    seen = found.found
    say("library", f"{printable(seen.section.title)}: {len(seen.listed):,} tracks, {seen.matched:,} of them known here")
    for server, local in seen.path_map.pairs:
        say("map", f"'{printable(server)}' -> '{printable(shorten_home(local))}'")


def show_rows(rows: Iterable[Row], as_json: bool) -> tuple[dict[tuple[str, str], int], list[ItemEdit]]:
    """Print the rows; how many there are of each kind, and the edits of those that would be set."""
    counts: dict[tuple[str, str], int] = {}
    edits: list[ItemEdit] = []
    lines: list[str] = []  # printed at the end, below the progress bar
    for row in rows:
        counts[row.action, row.reason] = counts.get((row.action, row.reason), 0) + 1
        if as_json:
            print_json(row.as_json())
        if row.edit is None:
            continue
        edits.append(row.edit)
        if not as_json and len(edits) <= SHOWN:
            before = ", ".join(row.before) or "(none)"
            after = click.style(printable(", ".join(row.after)), bold=True)
            styles = [one.after for one in row.edit.fields if one.field == "style"]
            style = f"  style: {printable(', '.join(styles[0]))}" if styles else ""
            lines.append(f"    {printable(row.title)[:52]:<52} {printable(before)[:24]:<24} -> {after}{style}")
    for line in lines:
        plain(line)
    if len(edits) > SHOWN and not as_json:
        plain(f"    ... and {len(edits) - SHOWN:,} more (all of them: plex diff --json)")
    return counts, edits


def show_counts(counts: dict[tuple[str, str], int]) -> None:
    """How many items are of each kind, most first."""
    totals: dict[str, int] = {}
    for (action, _), count in counts.items():
        totals[action] = totals.get(action, 0) + count
    say("plan", " · ".join(f"{name} {totals.get(name, 0):,}" for name in ("set", "noop", "skip")))
    for (action, reason), count in sorted(counts.items(), key=lambda entry: -entry[1]):
        say("", f"{count:>8,}  {action}: {REASONS.get(reason, reason)}")


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """For the last line of --json."""
    return {
        "written": outcome.written,
        "failed": [{"title": title, "reason": why} for title, why in outcome.failed],
        "changed": [{"title": title, "reason": why} for title, why in outcome.changed],
        "stopped": outcome.stopped,
    }


def show_outcome(outcome: Outcome, then: str, verb: str = "written") -> None:
    """What was written and verified, and what was not."""
    say(verb, f"{outcome.written:,} items, each read back and verified" + (f"; {then}" if then else ""))
    for title, why in (*outcome.failed[:10], *outcome.changed[:10]):
        say("not", f"{printable(title)}: {why}")
    more = len(outcome.failed[10:]) + len(outcome.changed[10:])
    if more:
        say("", f"and {more:,} more")


def show_restore_plan(run: int, plan: RestorePlan, as_json: bool) -> None:
    """What taking a run back comes to."""
    if as_json:
        for edit in plan.edits:
            fields = {one.field: list(one.after) for one in edit.fields}
            print_json({"action": "restore", "rating_key": edit.item.key, "title": edit.item.label, **fields})
        for title, why in plan.left:
            print_json({"action": "leave", "title": title, "reason": why})
        return
    say("run", f"{run}: {len(plan.edits):,} items go back, {len(plan.left):,} are left alone")
    for title, why in plan.left[:10]:
        say("left", f"{printable(title)}: {why}")


def show_import(title: str, done: ImportReport, dry_run: bool, as_json: bool) -> None:
    """What the library has learnt."""
    if as_json:
        print_json(
            {
                "listed": done.listed, "new": done.new, "known": done.known, "not_here": done.not_here,
                "gone": done.gone, "dry_run": dry_run,
            }
        )  # fmt: skip
        return
    say("library", f"{printable(title)}: {done.listed:,} tracks")
    say("imported", f"{done.new:,} new, {done.known:,} known" + (" (dry run: nothing was stored)" if dry_run else ""))
    if done.not_here:
        say("", f"{done.not_here:,} are no files here: look at reclass plex map")


def show_steps(steps: Iterable[Step], as_json: bool) -> int:
    """Each step as it is done; how many were not as sync needs them."""
    bad = 0
    for step in steps:
        bad += step.fine is False
        if as_json:
            print_json({"step": step.name, "fine": step.fine, "seen": step.seen})
        else:
            mark = {True: click.style("ok", fg="green"), False: click.style("! ", fg="red"), None: "  "}[step.fine]
            plain(f"{mark}  {step.name:<34} {printable(step.seen)}")
    return bad


def roots_in_plex(work: Session, library: str, pairs: tuple[str, ...], paths: Sequence[str]) -> tuple[str, ...]:
    """The files here that a Plex library holds; those below `paths` only, where some are named."""
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.sync import files_of_library
    from music_reclass.utils.files import walk

    journal = PlexJournal(work.journal.database)
    here = [found.path for found in walk(list(paths))]
    files = files_of_library(
        work.settings, library, work.database, journal, path_map(pairs), here, lambda: bool(work.stop)
    )
    wanted = set(here)
    return tuple(file for file in files if file in wanted) if paths else files


def sync_after(work: Session, library: str, written: Sequence[str], as_json: bool) -> int:
    """Refresh the folders of the files `written` on the server and write their genres there; the exit code."""
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.sync import sync_written

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
