"""How the Plex commands tell what they found and did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.output import complain, plain, print_json, printable, say, shorten_home

if TYPE_CHECKING:
    from music_reclass.tagging.plex.diff import Row
    from music_reclass.tagging.plex.importing import ImportReport
    from music_reclass.tagging.plex.mapping import Inference, PathMap
    from music_reclass.tagging.plex.nouns import ItemEdit
    from music_reclass.tagging.plex.restore import Return
    from music_reclass.tagging.plex.selftest import Step
    from music_reclass.tagging.plex.sync import Comparison
    from music_reclass.tagging.plex.writing import Outcome

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


def show_return(run: int, plan: Return, as_json: bool) -> None:
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
