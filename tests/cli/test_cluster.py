"""`cluster check` prints one table; `scan --ray` hands --map to whom it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from music_reclass.cli import cluster as module
from music_reclass.cli.cluster import samples_below, table, wanted_kinds
from music_reclass.cluster import connection
from music_reclass.cluster.node import Facts, Sample, facts
from music_reclass.errors import MissingExtra
from tests.cluster.fakes import FakeCluster, node
from tests.library import Shell


class Reader:
    """What a node says of itself, made from what this machine is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def facts(self, kinds: Sequence[Any], sample: str | None = None) -> Facts:
        said = facts(kinds, "2.60.0")
        other = {"old": {"python": "CPython 3.1.4"}, "jetson": {"architecture": "aarch64"}}.get(self.name, {})
        return replace(said, decode=100.0 if sample else 0.0, **other)  # type: ignore[arg-type]

    def samples(self, paths: Sequence[str]) -> list[Sample | None]:
        from music_reclass.cluster.node import sample_of

        return [None if self.name == "jetson" else sample_of(path) for path in paths]

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cluster of three nodes; the addresses that were asked for."""
    asked: list[str] = []

    @contextmanager
    def connected(address: str, jobs: int) -> Iterator[Any]:
        asked.append(address)
        yield FakeCluster(
            lambda cls, where, *_: Reader(where.name), node("jetson", 6, gpus=1), node("old"), node("rtx", 16)
        )

    monkeypatch.setattr(connection, "connected", connected)
    return asked


def test_one_table_says_of_each_node_what_it_is_and_whether_it_takes_part(
    joined: list[str], shell: Shell, demo_library: Path
) -> None:
    assert shell("cluster", "check", "--ray", "head:6379", demo_library) == 1
    assert joined == ["head:6379"]
    head, *rows = shell.out.splitlines()
    assert re.split(r"\s{2,}", head.strip()) == list(module.HEADS)
    cells = {line.split()[0]: re.split(r"\s{2,}", line.strip()) for line in rows}
    assert cells.keys() == {"jetson", "old", "rtx"}
    assert cells["jetson"][3:5] == ["aarch64, 6 CPU", "1 GPU"]
    assert cells["jetson"][6] == "sent to it"
    assert cells["rtx"][6:] == ["sees them", "-", "100x", "yes"]
    assert cells["old"][2] == "3.1.4"
    assert cells["old"][-1].startswith("no: it has Python 3.1.4, this machine")
    assert "The node jetson does not see the music" in shell.err
    assert "The node old is left out" in shell.err


def test_programs_get_an_object_for_each_node(joined: list[str], shell: Shell, demo_library: Path) -> None:
    assert shell("cluster", "check", "--json", demo_library) == 1
    assert joined == ["auto"]
    jetson, old, rtx = shell.objects()
    assert shell.err == ""
    assert (rtx["node"], rtx["takes_part"], rtx["files"], rtx["decode_speed"]) == ("rtx", True, "paths", 100.0)
    assert (jetson["files"], jetson["gpus"], jetson["architecture"]) == ("bytes", 1, "aarch64")
    assert (old["takes_part"], old["why"].partition(",")[0]) == (False, "it has Python 3.1.4")
    assert all(key == made for key, made in rtx["kinds"].items())


def test_without_music_nothing_is_said_of_files(joined: list[str], shell: Shell) -> None:
    assert shell("cluster", "check", "--json") == 1
    assert {one["files"] for one in shell.objects()} == {None}


@pytest.mark.parametrize("command", [("cluster", "check"), ("scan", "-n", "/tmp", "--ray", "local")])
def test_without_ray_the_extra_is_named(command: Sequence[str], shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(module: str, extra: str) -> Any:
        raise MissingExtra(f"This needs the package {module}: pip install 'music_reclass[{extra}]'.")

    monkeypatch.setattr(connection, "require", absent)
    assert shell(*command) == 2
    assert shell.err.strip() == "reclass: This needs the package ray: pip install 'music_reclass[cluster]'."


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        (("--map", "/a=/b", "--map", "rtx:/c=/d"), ("/a=/b", "rtx:/c=/d")),
        (("--map", "/a=/b", "--map", "rtx:/c=/d", "--sync-plex"), ("rtx:/c=/d",)),
    ],
)
def test_maps_go_to_the_nodes_unless_they_are_plexs(
    words: Sequence[str], pairs: tuple[str, ...], shell: Shell, demo_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from music_reclass.plex import login

    given: dict[str, Any] = {}

    @contextmanager
    def ray_backend(address: str, settings: Any, cascade: Any, **more: Any) -> Iterator[Any]:
        given.update(more, address=address)
        yield None  # this machine

    monkeypatch.setattr(module, "ray_backend", ray_backend)
    monkeypatch.setattr(login, "connect", lambda *_: None)
    shell("scan", "-n", "--ray", "head", *words, demo_library)
    assert (given["address"], given["pairs"], given["roots"]) == ("head", pairs, (str(demo_library),))


def test_a_scan_without_any_node_that_fits_says_so_before_it_begins(
    shell: Shell, demo_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def connected(address: str, jobs: int) -> Iterator[Any]:
        yield FakeCluster(lambda cls, where, *_: Reader(where.name), node("old"))

    monkeypatch.setattr(connection, "connected", connected)
    assert shell("scan", "-n", "--ray", "head", demo_library) == 1
    assert "No node of the cluster can take part (old: it has Python 3.1.4" in shell.err


def test_files_to_compare_by_are_the_first_below_a_few_roots(demo_library: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = samples_below([str(tmp_path / "empty"), str(demo_library), "/nowhere"])
    assert [Path(one.path).is_relative_to(demo_library) for one in found] == [True]
    files = [str(path) for path in demo_library.rglob("*") if path.is_file()]
    assert len(samples_below(files)) == module.SAMPLES


def test_names_from_nodes_are_printed_safely() -> None:
    lines = list(table([["\x1b[31mevil", *["x"] * 9]]))
    assert "\x1b" not in "".join(lines)


def test_a_scan_asks_nodes_for_every_kind_that_a_stage_may_need() -> None:
    from types import SimpleNamespace

    stages = [SimpleNamespace(kinds=("a", "b")), SimpleNamespace(kinds=("a", "c"))]
    cascade: Any = SimpleNamespace(first_read=("b",), content=(), stages=stages)
    assert wanted_kinds(cascade) == ["b", "a", "c"]
