"""On a true Ray cluster of two nodes on this machine: the same vectors and decisions as without; a node that is killed
loses nothing; files go by bytes; weights are compared and sent."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")
if sys.platform != "linux":
    pytest.skip("a cluster of several nodes on one machine is for Linux", allow_module_level=True)

from music_reclass.classification.reading import timed_read
from music_reclass.cluster.backend import Members, RayBackend
from music_reclass.cluster.connection import connected
from music_reclass.cluster.node import Limits, sample_of
from music_reclass.cluster.requirements import node_pairs
from music_reclass.config import Settings
from music_reclass.domain import FeatureKind, Track
from music_reclass.extractors.registry import extractor
from music_reclass.extractors.weights import store
from music_reclass.extractors.weights.checkpoint import write_safetensors
from music_reclass.utils.files import walk
from tests.cluster.counting import counted_read
from tests.library import Shell

OBJECTS = 80 * 2**20
KIND = extractor("fma518", "mid30").kind
LIMITS = Limits(1, 120.0, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of two nodes, which differ, and Ray's folder."""
    folder = tmp_path_factory.mktemp("cluster")
    for name, value in (("here", 1.0), ("second", 2.0)):
        install(folder / name, value)
    (folder / "first").mkdir()
    return folder


def install(models: Path, value: float) -> None:
    """Weights of MusiCNN in name: one number."""
    place = models / "musicnn"
    place.mkdir(parents=True)
    tensors = {"x": np.array([value], np.float32)}
    write_safetensors(place / store.WEIGHTS, tensors)
    store.record(store.Installed(place, "musicnn", store.tensors_digest(tensors), 1, 1, "", "test", "2026-11-22"))


class Nodes:
    """The cluster: its address, and nodes that come and go."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self._folder = folder
        self.cluster = Cluster()
        soon = {"health_check_period_ms": 300, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}
        self.first = self.add("first", include_dashboard=False, _system_config=soon)
        self.second = self.add("second")

    def add(self, name: str, **options: Any) -> Any:
        variables = {"RECLASS_TEST_NODE": name, "RECLASS_MODELS": str(self._folder / name)}
        return self.cluster.add_node(
            num_cpus=1, object_store_memory=OBJECTS, node_name=name, env_vars=variables, **options
        )

    def kill(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes(folder: Path) -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
            patch.setenv(name, "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).resolve().parents[2]), *sys.path[1:]]))
        short = tempfile.mkdtemp(prefix="rt-", dir="/tmp")  # pytest's own folders are too long for sockets
        patch.setenv("RAY_TMPDIR", short)
        made = Nodes(folder)
        yield made
        made.cluster.shutdown()
        shutil.rmtree(short, ignore_errors=True)


def stored(path: Path) -> tuple[list[Any], list[Any], list[Any]]:
    """What a library holds of its files, of their vectors, and of its decisions, whatever the time of the scan."""
    with closing(sqlite3.connect(path)) as sql:
        tracks = sql.execute("SELECT path, size, mtime_ns, digest, duration, artist, album FROM track ORDER BY path")
        vectors = sql.execute(
            "SELECT t.path, v.kind, v.data FROM vector v JOIN track t ON t.id = v.track_id ORDER BY 1, 2"
        )
        decisions = sql.execute(
            "SELECT t.path, d.outcome, d.genres, d.confidence FROM decision d JOIN track t ON t.id = d.track_id"
            " ORDER BY 1"
        )
        return tracks.fetchall(), vectors.fetchall(), decisions.fetchall()


def test_a_scan_by_two_nodes_stores_and_decides_what_a_local_one_does(
    nodes: Nodes, demo_library: Path, shell: Shell, tmp_path: Path
) -> None:
    assert shell("scan", "--dry-run", "--json", demo_library) == 0
    local, said = stored(shell.db), shell.out
    shell.db = tmp_path / "by-ray.sqlite3"
    assert shell("scan", "--dry-run", "--json", "--ray", nodes.cluster.address, demo_library) == 0
    assert stored(shell.db) == local
    assert len(local[0]) == len(local[1]) == len(local[2]) == 11
    assert shell.out == said, "stdout holds what a local scan says, and nothing of Ray"
    assert shell.err == ""


def tasks_of(folder: Path) -> list[tuple[Track, tuple[bytes, ...]]]:
    return [(file, ()) for file in walk([str(folder)])]


def log_of(folder: Path) -> list[list[str]]:
    """What was computed: node, file and its folder there."""
    log = folder / "log"
    return [line.split(" ", 2) for line in log.read_text().splitlines()] if log.exists() else []


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Joined:
    """This machine's side of the cluster, and what it said of nodes."""

    def __init__(self, members: Members, said: list[str]) -> None:
        self.members, self.said = members, said
        self.backend = RayBackend(members, Settings(jobs=1))


@contextmanager
def joined(nodes: Nodes, music: Path, *pairs: str, kinds: tuple[FeatureKind, ...] = (KIND,)) -> Iterator[Joined]:
    said: list[str] = []
    sample = sample_of(next(walk([str(music)])).path)
    assert sample is not None
    with connected(nodes.cluster.address, 1) as cluster:
        maps = node_pairs(pairs)
        members = Members(cluster, kinds, [sample], maps=maps, limits=LIMITS, say=said.append)
        members.open()
        yield Joined(members, said)


def test_a_node_that_is_killed_loses_nothing_and_costs_its_batches_in_flight_alone(
    nodes: Nodes, music: Path, demo_library: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(demo_library, music / "again")
    tasks = tasks_of(music)
    victim = nodes.add("victim")
    (tmp_path / "gate-victim").touch()
    read = partial(counted_read, kinds=(KIND,), folder=str(tmp_path))
    with joined(nodes, music) as here:
        names = sorted(member.node.name for member in here.members.by_id.values())
        assert names == ["first", "second", "victim"]
        answers = here.backend.map(read, tasks, lambda: False)
        found = [next(answers) for _ in range(6)]
        nodes.kill(victim)  # it stands at the gate with two batches of two files
        (tmp_path / "gate-victim").unlink()
        found += list(answers)
        until(lambda: here.members.look(at_once=True) or any("victim left" in line for line in here.said))
    assert sorted(task[0].path for task, _ in found) == sorted(task[0].path for task in tasks)
    assert all(track.error is None and track.vector is not None for _, (track, _) in found)
    computed = Counter(f"{folder}/{name}" for _, name, folder in log_of(tmp_path))
    assert len(computed) == len(tasks)
    twice = sum(computed.values()) - len(tasks)
    assert twice <= 4, "its process may outlive the node by a moment: two batches of two files"
    assert capfd.readouterr().out == "", "Ray prints what other nodes logged, unless it is kept from it"


def test_files_go_by_bytes_to_a_node_that_does_not_see_them(nodes: Nodes, demo_library: Path, tmp_path: Path) -> None:
    tasks = tasks_of(demo_library)[:8]
    read = partial(counted_read, kinds=(KIND,), folder=str(tmp_path))
    with joined(nodes, demo_library, f"second:{demo_library}=/nowhere") as here:
        found = {task[0].path: answer for task, answer in here.backend.map(read, tasks, lambda: False)}
    assert any("second does not see the music" in line for line in here.said)
    places = {(node, folder == str(demo_library)) for node, _, folder in log_of(tmp_path) if node == "second"}
    assert places == {("second", False)}, "it read copies of its own"
    for task in tasks:
        theirs, ours = found[task[0].path][0], timed_read(task, [KIND])[0]
        assert np.array_equal(theirs.vector, ours.vector)
        assert (theirs.path, theirs.size, theirs.mtime_ns) == (ours.path, ours.size, ours.mtime_ns)
        assert (theirs.digest, theirs.tags, theirs.warnings) == (ours.digest, ours.tags, ours.warnings)


def test_a_node_with_other_weights_is_refused_by_name_and_one_without_any_gets_them(
    nodes: Nodes, folder: Path, demo_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(folder / "here"))
    kinds = (KIND, extractor("musicnn", "mid30").kind)
    with joined(nodes, demo_library, kinds=kinds) as here:
        assert [member.node.name for member in here.members.by_id.values()] == ["first"]
        ((node, why, _),) = here.members.refused.values()
    assert (node.name, "other weights of musicnn" in why) == ("second", True)
    assert any(line.startswith("The node second is left out: it has other weights") for line in here.said)
    sent, ours = (store.read_json(folder / name / "musicnn" / store.MANIFEST) for name in ("first", "here"))
    assert sent == ours
    assert not list((folder / "first" / "musicnn").glob("*.received"))
