"""What a node does with a batch: files by path or by bytes, answers as if the head had read them, weights checked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass import __version__
from music_reclass.classification.reading import read_track, read_vectors, timed_read
from music_reclass.cluster import node as module
from music_reclass.cluster.dispatch import UNSEEN, Parcel
from music_reclass.cluster.node import Fma518, Limits, facts, sample_of
from music_reclass.domain import FeatureKind, Track
from music_reclass.errors import FailTrack
from music_reclass.extractors.registry import extractor
from music_reclass.extractors.weights import store
from music_reclass.extractors.weights.checkpoint import write_safetensors
from music_reclass.utils.files import walk

KIND = extractor("fma518", "mid30").kind
LIMITS = Limits(1, 120.0, 0)


@pytest.fixture(scope="module")
def reader() -> Iterator[Fma518]:
    actor = Fma518(LIMITS)
    yield actor
    actor.close()


@pytest.fixture(autouse=True)
def _contents_are_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fetched", bytes)


def test_what_a_node_reads_is_what_this_machine_would_read_by_path_and_by_bytes(
    reader: Fma518, demo_library: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "mount"
    shutil.copytree(demo_library, elsewhere)
    files = list(walk([str(demo_library)]))[:3]
    parcels = [Parcel((file, ()), path=str(elsewhere / os.path.relpath(file.path, demo_library))) for file in files[:2]]
    data = Path(files[2].path).read_bytes()
    parcels.append(Parcel((files[2], ()), content=data, size=len(data)))
    batch = reader.read(partial(timed_read, kinds=(KIND,)), parcels)
    assert batch.seconds > 0
    for file, (theirs, seconds) in zip(files, batch.answers, strict=True):
        ours = timed_read((file, ()), [KIND])[0]
        assert theirs.vector is not None
        assert np.array_equal(theirs.vector, ours.vector)
        assert seconds.keys() == {KIND}
        for name in ("path", "size", "mtime_ns", "digest", "duration", "tags", "warnings", "error"):
            assert getattr(theirs, name) == getattr(ours, name), name
    assert os.listdir(reader._folder or "") == [], "copies are gone"


def test_tracks_of_the_library_are_read_where_the_node_has_them(reader: Fma518, demo_library: Path) -> None:
    path = next(walk([str(demo_library)])).path
    read = partial(read_track, reader=partial(read_vectors, kinds=(KIND,)))
    (answer,) = reader.read(read, [Parcel((7, "/as/the/head/says.flac"), path=path)]).answers
    assert np.array_equal(answer[KIND], read_vectors(Path(path), [KIND])[KIND])


def test_files_that_are_not_there_or_are_others_come_back_unseen_beside_those_that_are(
    reader: Fma518, demo_library: Path
) -> None:
    first, second, third = list(walk([str(demo_library)]))[:3]
    other = Track(first.path, first.size + 1, first.mtime_ns)
    parcels = [
        Parcel((first, ()), path="/nowhere/at.all"),
        Parcel((second, ()), path=second.path),
        Parcel((other, ()), path=first.path),
        Parcel((third, ()), path=str(demo_library)),
    ]
    answers = reader.read(partial(timed_read, kinds=(KIND,)), parcels).answers
    assert [isinstance(answer, FailTrack) and answer.reason for answer in answers] == [UNSEEN, False, UNSEEN, UNSEEN]


def test_a_copy_for_which_there_is_no_room_is_a_failure_of_its_file(
    reader: Fma518, demo_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_folder", str(tmp_path / "full"))
    file = next(walk([str(demo_library)]))
    (answer,) = reader.read(partial(timed_read, kinds=(KIND,)), [Parcel((file, ()), content=b"x", size=1)]).answers
    assert (type(answer), answer.reason) == (FailTrack, "no_space")


def test_an_actor_that_was_killed_leaves_copies_that_the_next_removes(
    demo_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, others = (tmp_path / f"{module.COPIES}{number}-x" for number in (dead.pid, os.getppid()))
    for folder in (left, others):
        folder.mkdir()
    actor = Fma518(LIMITS)
    place = actor._temporary(3, Parcel((1, "/music/a.b.flac")))
    assert (os.path.basename(place), Path(place).parent.parent) == ("3.flac", tmp_path)
    assert (left.exists(), others.exists()) == (False, True)
    actor.close()
    assert os.listdir(tmp_path) == [others.name]


def test_a_node_says_what_it_is(demo_library: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    wanted = FeatureKind("musicnn", "1-abcdefgh", 200, "mid30")
    said = facts([KIND, wanted], "2.60.0", next(walk([str(demo_library)])).path)
    assert (said.reclass, said.ray) == (__version__, "2.60.0")
    assert said.python.count(".") == 2
    assert said.kinds[KIND.key] == KIND.key
    assert "not installed" in said.kinds[wanted.key]
    assert said.weights == {"musicnn": ""}
    assert said.memory > 0
    assert said.decode > 1
    assert facts([KIND], "2.60.0", __file__).decode == 0.0


def test_a_sample_is_known_by_size_and_payload(demo_library: Path) -> None:
    path = next(walk([str(demo_library)])).path
    sample = sample_of(path)
    assert sample is not None
    assert (sample.size, len(sample.digest)) == (os.path.getsize(path), 20)
    assert sample_of("/nowhere") is None


def sent(data: bytes, manifest: dict[str, Any]) -> str:
    actor = Fma518(LIMITS)
    half = len(data) // 2
    actor.receive("mert", store.WEIGHTS, 0, b"left over from before")
    actor.receive("mert", store.WEIGHTS, 0, data[:half])
    actor.receive("mert", store.WEIGHTS, half, data[half:])
    actor.receive("mert", "config.json", 0, b"{}")
    return actor.finish([store.WEIGHTS, "config.json"], manifest)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, dict[str, Any]]:
    tensors = {"x": np.arange(10, dtype=np.float32)}
    write_safetensors(tmp_path / "file", tensors)
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    installed = store.Installed(tmp_path, "mert", store.tensors_digest(tensors), 1, 10, "", "test", "2026-11-22")
    manifest = asdict(installed)
    del manifest["folder"]
    return (tmp_path / "file").read_bytes(), manifest


def test_weights_that_arrive_whole_are_installed(weights: tuple[bytes, dict[str, Any]]) -> None:
    data, manifest = weights
    assert sent(data, manifest) == ""
    found = store.needed("mert")
    assert (found.digest, found.weights.read_bytes()) == (manifest["digest"], data)
    assert sorted(os.listdir(found.folder)) == sorted(["config.json", store.MANIFEST, store.WEIGHTS])


@pytest.mark.parametrize("damage", [lambda data: data[:-4], lambda data: data[:-1] + b"\x01", lambda data: b"none"])
def test_weights_that_arrive_damaged_are_not(weights: tuple[bytes, dict[str, Any]], damage: Any) -> None:
    data, manifest = weights
    assert sent(damage(data), manifest)
    assert store.find("mert") is None
    assert not os.listdir(store.models_folder() / "mert")
