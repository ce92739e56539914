"""`cluster check`: one table of the nodes of a Ray cluster; and the backend of `scan --ray`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import Commands, json_flag, nodes_map_flag, setting_flags
from music_reclass.cli.output import cell, complain, plain, print_json, printable
from music_reclass.utils.words import columns

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.cluster.backend import Members, RayBackend
    from music_reclass.cluster.connection import Node
    from music_reclass.cluster.node import Facts, Sample
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind

HEADS = ("node", "Ray", "Python", "machine", "cards", "memory", "files", "weights", "decodes", "takes part")
SAMPLES = 3  # files by which a node's view of the music is compared


@click.group(cls=Commands)
def cluster() -> None:
    """Look at the nodes of a Ray cluster, for `reclass scan --ray`."""


@cluster.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--ray", "address", default="auto", metavar="ADDRESS", help="HOST:PORT, auto (default) or local.")
@nodes_map_flag
@json_flag
@setting_flags("stages", "bundle", "jobs")
def check(paths: tuple[Path, ...], address: str, pairs: tuple[str, ...], as_json: bool, settings: Settings) -> int:
    """Show each node: versions, cards, memory, whether it sees the music in PATHS, weights, decoding speed.

    Nothing is scanned. Weights that a node lacks are sent to it. A node that cannot take part is named with the
    reason, and the exit code is 1 then.
    """
    from music_reclass.cli.session import cascade_for
    from music_reclass.taxonomy import load

    cascade = cascade_for(settings, load(settings.taxonomy), None)
    said: list[str] = []
    roots = list(map(str, paths))
    with _members(address, settings, cascade, pairs=pairs, roots=roots, say=said.append, speed=True) as members:
        objects = [_object(*entry) for entry in _entries(members)]
    if as_json:
        for one in objects:
            print_json(one)
    else:
        for line in table([_cells(one) for one in objects]):
            plain(line)
        for line in said:
            complain(printable(line))
    return 0 if objects and all(one["takes_part"] for one in objects) else 1


@contextmanager
def ray_backend(
    address: str, settings: Settings, cascade: Cascade, *, pairs: Sequence[str], roots: Sequence[str]
) -> Iterator[RayBackend]:
    """The backend of the cluster at `address` while the block runs; what happens to nodes is said on stderr."""
    from music_reclass.cluster.backend import RayBackend

    def say(line: str) -> None:
        complain(printable(line))

    with _members(address, settings, cascade, pairs=pairs, roots=roots, say=say) as members:
        members.require_one()
        yield RayBackend(members, settings)


@contextmanager
def _members(
    address: str,
    settings: Settings,
    cascade: Cascade,
    *,
    pairs: Sequence[str],
    roots: Sequence[str],
    say: Callable[[str], None],
    speed: bool = False,
) -> Iterator[Members]:
    """The nodes of the cluster at `address`, each asked what it is."""
    from music_reclass.cluster.backend import Members, limits_of
    from music_reclass.cluster.connection import connected
    from music_reclass.cluster.requirements import node_pairs
    from music_reclass.extractors.memory import workers_for

    maps = node_pairs(pairs)
    with connected(address, workers_for(settings)) as joined:
        members = Members(
            joined, wanted_kinds(cascade), samples_below(roots), maps=maps, limits=limits_of(settings), say=say,
            speed=speed,
        )  # fmt: skip
        try:
            members.open()
            yield members
        finally:
            members.close()


def wanted_kinds(cascade: Cascade) -> list[FeatureKind]:
    """The feature kinds that a scan may ask nodes for."""
    stages = (*cascade.content, *cascade.stages)
    return list(dict.fromkeys((*cascade.first_read, *(kind for stage in stages for kind in stage.kinds))))


def samples_below(roots: Sequence[str]) -> list[Sample]:
    """The first readable file below each of a few roots."""
    from music_reclass.cluster.node import sample_of
    from music_reclass.plex.paths import spread
    from music_reclass.utils.files import walk

    found = []
    for root in spread(roots, SAMPLES):
        files = (sample_of(file.path) for file in islice(walk([root]), 10))
        if (sample := next((one for one in files if one is not None), None)) is not None:
            found.append(sample)
    return found


def _entries(members: Members) -> Iterator[tuple[Node, Facts | None, str, str]]:
    """Node, facts, how it sees the files, and why it is left out."""
    taking = [
        (member.node, member.facts, member.view if members.samples else "", "") for member in members.by_id.values()
    ]
    refused = [(node, there, "", why) for node, why, there in members.refused.values()]
    yield from sorted([*taking, *refused], key=lambda entry: entry[0].name)


def _object(node: Node, facts: Facts | None, view: str, why: str) -> dict[str, Any]:
    """One line of --json."""
    return {
        "node": node.name,
        "ray": facts.ray if facts else None,
        "python": facts.python if facts else None,
        "architecture": facts.architecture if facts else None,
        "cpus": node.cpus,
        "gpus": node.gpus,
        "gpu": node.card or None,
        "free_bytes": facts.memory if facts else None,
        "object_store_bytes": node.objects,
        "files": view or None,
        "kinds": facts.kinds if facts else None,
        "weights": facts.weights if facts else None,
        "decode_speed": round(facts.decode, 1) if facts and facts.decode else None,
        "takes_part": not why,
        "why": why or None,
    }


def _cells(one: dict[str, Any]) -> list[str]:
    from music_reclass.extractors.memory import readable

    files = {"paths": "sees them", "bytes": "sent to it", "others": "sent: has others"}
    weights = one["weights"] or {}
    cards = f"{one['gpus']} {one['gpu'] or 'GPU'}" if one["gpus"] else "-"
    return [
        one["node"],
        one["ray"] or "?",
        (one["python"] or "?").removeprefix("CPython "),
        f"{one['architecture'] or '?'}, {one['cpus']} CPU",
        cards,
        readable(one["free_bytes"]) if one["free_bytes"] else "?",
        files.get(one["files"] or "", "-"),
        " ".join(f"{model} {digest[:8]}" for model, digest in weights.items() if digest) or "-",
        f"{one['decode_speed']:.0f}x" if one["decode_speed"] else "-",
        "yes" if one["takes_part"] else f"no: {one['why']}",
    ]


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The nodes as lines, columns as wide as they need."""
    lines = [list(HEADS), *map(list, rows)]
    widths = [max(columns(printable(line[place])) for line in lines) for place in range(len(HEADS))]
    for line in lines:
        yield "  ".join(cell(text, wide) for text, wide in zip(line, widths, strict=True)).rstrip()
