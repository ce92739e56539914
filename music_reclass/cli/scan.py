"""`scan` extracts, decides, shows the plan and writes it; `apply` writes what earlier scans decided."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from music_reclass.cli.options import Choice, choice_flags, nodes_map_flag, setting_flags, strict_flag
from music_reclass.cli.output import complain, plain, printable, say, shorten_home, styled
from music_reclass.cli.writing import conclude, plan_for, show_conflicts

if TYPE_CHECKING:
    from music_reclass.classification.reading import Backend
    from music_reclass.classification.scan import ScanRequest
    from music_reclass.classification.voter import Cascade
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.features.results import ScanStats
    from music_reclass.features.scope import Scope


class _Shown(NamedTuple):
    """What the user said about a scan with -v, --conflicts, --strict and --ask."""

    details: bool = False
    conflicts: bool = False
    strict: bool = False
    ask: bool = False


class _Nodes(NamedTuple):
    """Where a scan reads and computes: --ray, and --map for its nodes."""

    address: str | None = None
    pairs: tuple[str, ...] = ()


HERE = _Nodes()  # this machine
WRITE_SETTINGS = ("min_confidence", "on_existing", "profile", "styles", "preserve_mtime", "detach_hard_links", "wait")
_UNREADABLE_SHOWN = 5


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--plex", metavar="LIBRARY", help="Only what this Plex music library holds.")
@click.option("--sync-plex", is_flag=True, help="After writing, refresh Plex and write the same genres there.")
@nodes_map_flag
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Only files whose name, or path below PATHS, matches; may be repeated.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="No files whose name, or path below PATHS, matches; may be repeated.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N files, by path.")
@click.option("--conflicts", is_flag=True, help="List the tracks whose tag says another genre, and what was found.")
@click.option("--ask", is_flag=True, help="Decide about each album: accept, change, leave, never ask again.")
@click.option("--ray", metavar="ADDRESS", help="Read and compute on a Ray cluster: HOST:PORT, auto, or local.")
@click.option("--rescan", is_flag=True, help="Read every file again, known or not.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="List every change, and show technical details: stages, seconds, certificates.",
)
@strict_flag
@choice_flags
@setting_flags(
    *WRITE_SETTINGS, "jobs", "timeout", "worker_memory", "max_genres", "stages", "bundle", "exit_policy", "effort",
    "prior", "album", "windows", "speech", "max_time", "max_tracks", "device", "gpu_memory", "precision",
)  # fmt: skip
def scan(
    paths: tuple[Path, ...], plex: str | None, sync_plex: bool, pairs: tuple[str, ...], include: tuple[str, ...],
    exclude: tuple[str, ...], limit: int | None, conflicts: bool, ask: bool, ray: str | None, rescan: bool,
    verbose: bool, strict: bool,
    choice: Choice, settings: Settings,
) -> int:  # fmt: skip
    """Decide the genre of each track in PATHS, and tag it.

    On a terminal the plan is shown before anything is written, and you are asked. Without a terminal nothing is
    written unless --yes is given. `reclass undo` undoes the last run, to the byte.
    """
    from music_reclass.classification.scan import ScanRequest
    from music_reclass.cli.models import offer_recommended
    from music_reclass.cli.session import writing

    if not paths and plex is None:
        raise click.UsageError("Name a folder or file to scan, or a Plex library with --plex.")
    if ask and (choice.yes or choice.as_json):
        raise click.UsageError("--ask asks somebody; leave --yes and --json out.")
    if plex is not None:
        settings = replace(settings, plex_library=plex)
    nodes = _Nodes(ray, pairs)
    if ray is not None and (sync_plex or plex is not None):  # --map serves two masters then
        from music_reclass.cluster.requirements import names_node

        nodes = _Nodes(ray, tuple(filter(names_node, pairs)))
        pairs = tuple(pair for pair in pairs if not names_node(pair))
    if sync_plex or plex is not None:
        from music_reclass.cli.output import complain
        from music_reclass.plex.login import connect

        connect(settings, complain)  # a server that does not answer is said before hours of extraction
    if all(path.exists() for path in paths):
        offer_recommended(choice, settings)
    with writing(settings, "scan") as work:
        roots = tuple(map(str, paths))
        if plex is not None:
            from music_reclass.cli.plex import files_in_plex

            roots = files_in_plex(work, pairs, roots)

        def after(written: list[str]) -> int:
            from music_reclass.cli.plex import sync_after_scan

            return sync_after_scan(work, pairs, written, choice.as_json)

        arguments: dict[str, Any] = {"paths": [os.path.abspath(path) for path in paths], "rescan": rescan}
        narrowed = {"plex": plex, "include": list(include), "exclude": list(exclude), "limit": limit}
        arguments |= {name: value for name, value in narrowed.items() if value}
        request = ScanRequest(roots, include, exclude, rescan, limit)
        shown = _Shown(verbose, conflicts, strict, ask)
        return _scan(
            work, request, choice, arguments=arguments, after=after if sync_plex else None, shown=shown, nodes=nodes
        )


def _scan(
    work: Session,
    request: ScanRequest,
    choice: Choice,
    *,
    arguments: dict[str, Any],
    after: Callable[[list[str]], int] | None,
    shown: _Shown,
    nodes: _Nodes,
) -> int:
    """Bring the library up to date, show what came of it, and write the plan; the exit code."""
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.statistics import Outcomes

    began = time.time()
    scope, stats, cascade = update(work, request, arguments, nodes)
    if not choice.as_json:
        _show_music(stats, arguments["paths"])
        if shown.details:
            _show_details(scope, stats, cascade)
    plan = plan_for(work, lambda: Decisions(work.database).in_scope(scope))
    if shown.conflicts and not choice.as_json:
        show_conflicts(plan)
    if shown.ask:
        from music_reclass.cli.ask import ask_albums

        plan, choice = ask_albums(work, plan, "scan --ask", dry_run=choice.dry_run), Choice(choice.dry_run, yes=True)
    failures = None if shown.strict else Outcomes(work.database, scope).failed_since(began)
    code = conclude(
        work, plan, choice, command="scan", arguments=arguments, after=after, failures=failures, show_all=shown.details
    )
    if not choice.as_json and not shown.details:
        _show_tips(scope, cascade, work.settings)
    return code or (1 if stats.unreadable else 0)


def update(
    work: Session, request: ScanRequest, arguments: dict[str, Any], nodes: _Nodes = HERE
) -> tuple[Scope, ScanStats, Cascade]:
    """Bring the library up to date with the files of `request`: its tracks, what was done, and by which cascade."""
    from music_reclass.classification.scan import scan as update_library
    from music_reclass.cli.session import cascade_for
    from music_reclass.features.scope import Scope
    from music_reclass.report.statistics import store_scan

    cascade = cascade_for(work.settings, work.taxonomy, work.database)
    scope = Scope(work.database)
    with _backend(nodes, work.settings, cascade, request.roots) as backend:
        stats = update_library(scope, request, cascade, work.settings, stop=work.stop, backend=backend)
    store_scan(scope, stats, cascade, arguments)
    _show_ended(stats)
    return scope, stats, cascade


def _backend(
    nodes: _Nodes, settings: Settings, cascade: Cascade, roots: tuple[str, ...]
) -> AbstractContextManager[Backend | None]:
    """The nodes of a cluster, or None for this machine."""
    if nodes.address is None:
        return nullcontext()
    from music_reclass.cli.cluster import ray_backend

    return ray_backend(nodes.address, settings, cascade, pairs=nodes.pairs, roots=roots)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("-v", "--verbose", is_flag=True, help="List every change.")
@strict_flag
@choice_flags
@setting_flags(*WRITE_SETTINGS)
def apply(paths: tuple[Path, ...], verbose: bool, strict: bool, choice: Choice, settings: Settings) -> int:
    """Write the genres that earlier scans decided, below PATHS or in the whole library; no audio is read."""
    from music_reclass.cli.session import writing
    from music_reclass.errors import NothingToDo
    from music_reclass.features.decisions import Decisions

    folders = [os.path.realpath(path) for path in paths]
    with writing(settings, "apply", must_exist=True) as work:
        decisions = Decisions(work.database)
        if next(decisions.below(folders), None) is None:
            raise NothingToDo("No track of the library lies there; scan it first (reclass scan PATH).")
        plan = plan_for(work, lambda: decisions.below(folders))
        failures = None if strict else 0
        arguments: dict[str, Any] = {"paths": folders}
        return conclude(work, plan, choice, command="apply", arguments=arguments, failures=failures, show_all=verbose)


def _show_music(stats: ScanStats, paths: list[str]) -> None:
    from music_reclass.report.text import counted, music_lines

    where = ", ".join(map(shorten_home, paths)) or "the Plex library"
    for line in music_lines(stats, where):
        plain(printable(line))
    for path, why in stats.unreadable[:_UNREADABLE_SHOWN]:
        plain(styled("! ", "red") + f"{printable(path)[:200]} cannot be read: {printable(why)}", problem=True)
    if len(stats.unreadable) > _UNREADABLE_SHOWN:
        plain(f"and {counted(len(stats.unreadable) - _UNREADABLE_SHOWN, 'more folder')}")


def _show_ended(stats: ScanStats) -> None:
    """Which stages ended before their time, and why; their tracks keep what the stages before decided."""
    for name, stage in stats.stages.items():
        if stage.ended:
            complain(printable(f"The stage {name} ended early. {stage.ended}"))


def _show_details(scope: Scope, stats: ScanStats, cascade: Cascade) -> None:
    """What -v adds. To be called before anything is written, while the tags are still those of the user."""
    from music_reclass.features.statistics import Outcomes
    from music_reclass.report.statistics import statistics_of
    from music_reclass.report.text import detail_lines

    for stage, why in cascade.absent.items():
        say("absent", f"the stage {stage} does not vote: {why}")
    figures = statistics_of(Outcomes(scope.database, scope), cascade)
    for label, text in detail_lines(figures, stats):
        say(label, printable(text))


def _show_tips(scope: Scope, cascade: Cascade, settings: Settings) -> None:
    """What could decide more tracks, said once and not at every scan."""
    from music_reclass.cli.models import heads_lacking
    from music_reclass.domain import Outcome
    from music_reclass.extractors.weights import catalogue, store
    from music_reclass.features.statistics import Outcomes
    from music_reclass.report.text import tip_line

    unsure = sum(cell.count for cell in Outcomes(scope.database, scope).cells() if cell.outcome == Outcome.UNSURE)
    if not unsure:
        return
    tips = {stage: tip_line(stage, why, unsure) for stage, why in cascade.absent.items()}
    if settings.bundle is not None:  # stages of the user's own: what the built-in ones lack is no matter
        for text in tips.values():
            complain(printable(text))
        tips = {}
    elif store.find(catalogue.RECOMMENDED) is None:
        model = catalogue.model(catalogue.RECOMMENDED)
        size = f"{model.size / 1e6:,.0f} MB, {model.licence}"
        tips = {model.name: f"A better model is one command away: reclass models download   ({size})"}
    tips |= {f"head of {name}": f"{name}: {head.sentence()}" for name, head in heads_lacking(settings).items()}
    for name, text in tips.items():
        if _is_new(name):
            plain(f"\n{text}")


def _is_new(name: str) -> bool:
    """Whether no scan has named or offered the model yet; from now on one has."""
    import datetime

    from music_reclass.errors import ReclassError
    from music_reclass.extractors.weights import store

    try:
        if store.was_offered(name) or store.was_offered(f"tip: {name}"):
            return False
        store.remember_offer(f"tip: {name}", datetime.date.today().isoformat())
    except (ReclassError, OSError):  # a folder that cannot be written to: better said twice than never
        return True
    return True
