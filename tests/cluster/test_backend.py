"""Which nodes take part in a scan and what each gets, on a Ray of one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.cluster import backend as module
from music_reclass.cluster.backend import FAILURES, Members, RayBackend
from music_reclass.cluster.connection import Node
from music_reclass.cluster.dispatch import Parcel
from music_reclass.cluster.node import Batch, Facts, Fma518, Limits, NetworkActor, Sample, sample_of
from music_reclass.cluster.requirements import BYTES, OTHERS, node_pairs
from music_reclass.config import Settings
from music_reclass.domain import FeatureKind, Track
from music_reclass.errors import FailTrack, ReclassError, TrackError, UsageError
from music_reclass.extractors.registry import extractor
from tests.cluster.fakes import FakeCluster, node

KIND = extractor("fma518", "mid30").kind
MERT = FeatureKind("mert", "2-abcdefgh", 768, "mid30")


class Reader:
    """A node's reader: what it says of the node can be set, and what it was given is kept."""

    def __init__(self, here: Facts, samples: Sequence[Sample | None], trouble: Exception | None = None) -> None:
        self.said, self.seen, self.trouble = here, list(samples), trouble
        self.batches: list[list[Parcel]] = []
        self.asked: list[str] = []

    def facts(self, kinds: Sequence[FeatureKind], sample: str | None = None) -> Facts:
        if self.trouble:
            raise self.trouble
        return self.said

    def samples(self, paths: Sequence[str]) -> list[Sample | None]:
        self.asked = list(paths)
        return self.seen[: len(paths)]

    def close(self) -> None:
        self.closed = True

    def read(self, read: Callable[[Any], Any], parcels: Sequence[Parcel]) -> Batch:
        self.batches.append(list(parcels))
        return Batch([read(parcel.item) for parcel in parcels], 0.1 * len(parcels))


class Networks:
    """A node's network: the path as its vector, or an error."""

    def __init__(self, limits: Limits, placement: Any, threads: int) -> None:
        self.limits, self.placement = limits, placement
        self.error: ReclassError | None = None

    def embed(self, kind: FeatureKind, parcels: Sequence[Parcel]) -> Batch | ReclassError:
        return self.error or Batch([f"{kind.name} {p.item[0]}" for p in parcels], 1.0, "cuda:0", len(parcels))


class World:
    """Nodes by name with their readers, and this machine's side."""

    def __init__(self, *nodes: Node, music: Path, kinds: tuple[FeatureKind, ...] = (KIND,)) -> None:
        self.music, self.kinds, self.said = music, kinds, []  # type: ignore[var-annotated]
        sample = sample_of(str(music / "a.mp3"))
        assert sample is not None
        self.sample = sample
        self.readers: dict[str, Any] = {}
        self.networks: list[Any] = []
        self.broken = ReclassError("")
        self.cluster: Any = FakeCluster(self._make, *nodes)
        self.here = Facts("1", "CPython 3.11.7", "2.60.0", "x86_64", 1, {kind.key: kind.key for kind in kinds}, {})
        for one in nodes:
            self.readers[one.name] = Reader(self.here, [sample])

    def _make(self, cls: type, where: Node, *arguments: Any) -> Any:
        if cls is Fma518:
            return self.readers[where.name]
        assert cls is NetworkActor
        self.networks.append(made := Networks(*arguments))
        if where.name == "broken":
            made.error = ReclassError("no kernel for this card")
        return made

    def members(self, *pairs: str, settle: bool = True) -> Members:
        maps, limits = node_pairs(pairs), Limits(0, 10.0, 0)
        made = Members(self.cluster, self.kinds, [self.sample], maps=maps, limits=limits, say=self.said.append)
        made.here = self.here
        if settle:
            made.open()
        return made

    def items(self, count: int) -> list[tuple[Track, tuple[bytes, ...]]]:
        path = self.music / "a.mp3"
        status = path.stat()
        return [(Track(str(path), status.st_size, status.st_mtime_ns, id=n), ()) for n in range(count)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    (tmp_path / "a.mp3").write_bytes(b"sound" * 100)
    monkeypatch.setattr(module, "LOOK", 0.0)
    return lambda *nodes, **more: World(*nodes, music=tmp_path, **more)


def never() -> bool:
    return False


def number_of(item: tuple[Track, tuple[bytes, ...]]) -> int:
    return item[0].id


def test_reading_is_spread_over_the_nodes_and_every_file_comes_back_once(world: Callable[..., World]) -> None:
    here = world(node("jetson"), node("rtx", cpus=4))
    found = list(RayBackend(here.members(), Settings()).map(number_of, here.items(60), never))
    assert sorted(answer for _, answer in found) == list(range(60))
    assert all(number_of(item) == answer for item, answer in found)
    firsts = [len(here.readers[name].batches[0]) for name in ("jetson", "rtx")]
    assert firsts == [2, 8], "a node with four processors gets four times as much"
    assert all(parcel.content is None for batch in here.readers["rtx"].batches for parcel in batch)


def test_nodes_that_do_not_fit_are_left_out_by_name(world: Callable[..., World]) -> None:
    here = world(node("fine"), node("old"), node("bare"), node("mute"))
    here.readers["old"].said = replace(here.here, python="CPython 3.11.8")
    here.readers["bare"].said = replace(here.here, kinds={})
    here.readers["mute"].trouble = RuntimeError("ModuleNotFoundError: No module named 'music_reclass'")
    members = here.members()
    assert [member.node.name for member in members.by_id.values()] == ["fine"]
    said = "\n".join(here.said)
    assert "The node old is left out: it has Python 3.11.8, this machine 3.11.7." in said
    assert "The node bare is left out: " in said
    assert "The node mute is left out: reclass does not run there" in said
    assert "No module named 'music_reclass'" in said


def test_a_cluster_of_which_no_node_fits_says_why(world: Callable[..., World]) -> None:
    here = world(node("old"))
    here.readers["old"].said = replace(here.here, ray="2.59.0")
    with pytest.raises(ReclassError, match=r"old: it has Ray 2.59.0"):
        here.members().require_one()


def test_a_node_gets_the_paths_that_it_knows(world: Callable[..., World]) -> None:
    here = world(node("jetson"))
    backend = RayBackend(here.members(f"jetson:{here.music}=/mnt/nas"), Settings())
    list(backend.map(number_of, here.items(1), never))
    assert here.readers["jetson"].asked == ["/mnt/nas/a.mp3"]
    assert here.readers["jetson"].batches[0][0].path == "/mnt/nas/a.mp3"


@pytest.mark.parametrize(("seen", "view"), [(None, BYTES), (Sample("/a", 1, b""), OTHERS)])
def test_a_node_without_the_files_gets_their_bytes_and_that_is_said(
    world: Callable[..., World], seen: Sample | None, view: str
) -> None:
    here = world(node("jetson"))
    here.readers["jetson"].seen = [seen]
    members = here.members()
    assert [member.view for member in members.by_id.values()] == [view]
    list(RayBackend(members, Settings()).map(number_of, here.items(1), never))
    (parcel,) = here.readers["jetson"].batches[0]
    assert (parcel.path, here.cluster.ray.get(parcel.content)) == (None, b"sound" * 100)
    assert f"--map jetson:{here.music}=FOLDER" in here.said[0]


def test_a_file_that_changed_or_went_before_it_could_be_sent_is_that_files_failure(world: Callable[..., World]) -> None:
    here = world(node("jetson"))
    here.readers["jetson"].seen = [None]
    (file, _), gone = here.items(1)[0], (Track("/nowhere.mp3", 1, 1), ())
    items = [(replace(file, mtime_ns=5), ()), gone]
    found = list(RayBackend(here.members(), Settings()).map(number_of, items, never))
    assert sorted(answer.reason for _, answer in found if isinstance(answer, TrackError)) == ["changed", "vanished"]


def test_batches_grow_to_some_seconds_of_work(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TARGET", 2.0)
    here = world(node("jetson"))
    list(RayBackend(here.members(), Settings()).map(number_of, here.items(300), never))
    assert max(len(batch) for batch in here.readers["jetson"].batches) == 20  # of 0.1 s each


def test_a_node_that_joins_is_asked_and_used(world: Callable[..., World]) -> None:
    here = world(node("first"))
    answers = RayBackend(here.members(), Settings()).map(number_of, here.items(200), never)
    next(answers)
    late = node("late")
    here.readers["late"] = Reader(here.here, [here.sample])
    here.cluster.alive.append(late)
    list(answers)
    assert here.readers["late"].batches
    assert "The node late joined." in here.said


def test_a_node_that_leaves_is_named_and_its_files_go_to_others(world: Callable[..., World]) -> None:
    here = world(node("first"), node("second"))
    members = here.members()
    gone = next(member for member in members.by_id.values() if member.node.name == "second")
    answers = RayBackend(members, Settings()).map(number_of, here.items(100), never)
    found = [next(answers)]
    here.cluster.alive = [node("first")]
    here.cluster.ray.killed.append(gone.actor)
    found += answers
    assert sorted(answer for _, answer in found) == list(range(100))
    assert "The node second left; what it was at goes to others." in here.said


def test_a_node_whose_workers_keep_ending_is_left_out_and_no_file_is_blamed_for_it(world: Callable[..., World]) -> None:
    here = world(node("fine"), node("shaky"))
    here.readers["shaky"].read = lambda *_: 1 / 0
    found = list(RayBackend(here.members(), Settings()).map(number_of, here.items(900), never))
    assert sorted(answer for _, answer in found) == list(range(900))
    assert any(f"The node shaky is left out: its workers ended {FAILURES} times" in line for line in here.said)


def test_weights_are_sent_once_to_a_node_that_lacks_them(
    world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from music_reclass.extractors.weights import store

    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(module, "PIECE", 8)
    folder = tmp_path / "models" / "mert"
    folder.mkdir(parents=True)
    (folder / store.WEIGHTS).write_bytes(b"0123456789" * 2)
    (folder / "config.json").write_bytes(b"{}")
    store.record(store.Installed(folder, "mert", "d" * 64, 1, 1, "", "test", "2026-11-22"))
    here = world(node("bare"))
    here.here = replace(here.here, weights={"mert": "d" * 64})
    reader = here.readers["bare"]
    reader.said = replace(here.here, weights={"mert": ""})
    files: dict[str, bytes] = {}
    reader.receive = lambda model, name, offset, data: files.update({name: files.get(name, b"")[:offset] + data})

    def finish(names: list[str], manifest: dict[str, Any]) -> str:
        reader.said = replace(here.here)
        files["finished"] = f"{sorted(names)} {manifest['model']} {'folder' in manifest}".encode()
        return ""

    reader.finish = finish
    assert here.members().by_id
    assert files[store.WEIGHTS] == b"0123456789" * 2
    assert files["finished"] == b"['config.json', 'model.safetensors'] mert False"
    assert sum("The weights of mert are sent to the node bare." in line for line in here.said) == 1


def both(world: Callable[..., World], *nodes: Node) -> World:
    return world(*nodes, kinds=(KIND, MERT))


TRACKS = [(number, f"/music/{number}.mp3") for number in range(40)]


def test_networks_run_on_the_cards_of_the_cluster_one_actor_each(world: Callable[..., World]) -> None:
    here = both(world, node("cpu", 8), node("rtx", 8, gpus=2), node("jetson", 4, gpus=1))
    backend = RayBackend(here.members(), Settings())
    found = dict(backend.embed(TRACKS, MERT, never))
    assert found == {(number, path): f"mert {number}" for number, path in TRACKS}
    started = sorted(entry for entry in here.cluster.started if entry[0] == "NetworkActor")
    assert started == [("NetworkActor", "jetson", 1), ("NetworkActor", "rtx", 1), ("NetworkActor", "rtx", 1)]
    assert {made.placement.device for made in here.networks} == {"auto"}
    assert {made.limits.jobs for made in here.networks} == {4}, "two cards share the decoding processors"
    assert backend.places == {"mert": "cuda:0 of jetson, cuda:0 of rtx"}
    assert backend.in_pieces > 0
    backend.release()
    assert len([actor for actor in here.cluster.ray.killed if isinstance(actor.behind, Networks)]) == 3


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_cards_or_by_wish_networks_run_on_processors(world: Callable[..., World], device: str) -> None:
    here = both(world, node("one", gpus=int(device == "cpu")), node("two"))
    list(RayBackend(here.members(), Settings(device=device)).embed(TRACKS, MERT, never))
    assert sorted(here.cluster.started[2:]) == [("NetworkActor", "one", 0), ("NetworkActor", "two", 0)]
    assert {made.placement.device for made in here.networks} == {device}


def test_a_card_that_does_not_do_is_left_and_the_others_go_on(world: Callable[..., World]) -> None:
    here = both(world, node("rtx", gpus=1), node("broken", gpus=1))
    assert len(list(RayBackend(here.members(), Settings()).embed(TRACKS, MERT, never))) == len(TRACKS)


def test_where_no_card_does_the_stage_ends_with_what_the_node_said(world: Callable[..., World]) -> None:
    here = both(world, node("broken", gpus=1))
    with pytest.raises(ReclassError, match="no kernel for this card"):
        list(RayBackend(here.members(), Settings()).embed(TRACKS, MERT, never))


def test_a_kind_that_no_node_makes_is_named_with_each_nodes_reason(world: Callable[..., World]) -> None:
    here = both(world, node("jetson"))
    here.readers["jetson"].said = replace(here.here, kinds={KIND.key: KIND.key, MERT.key: "This needs torch."})
    with pytest.raises(ReclassError, match=r"can compute mert \(jetson: .*This needs torch"):
        list(RayBackend(here.members(), Settings()).embed(TRACKS, MERT, never))


def test_cards_that_are_wanted_and_not_offered_are_asked_for(world: Callable[..., World]) -> None:
    here = both(world, node("jetson"))
    with pytest.raises(UsageError, match="--num-gpus=1"):
        list(RayBackend(here.members(), Settings(device="cuda")).embed(TRACKS, MERT, never))
    with pytest.raises(UsageError, match="leave the list"):
        RayBackend(here.members(), Settings(device="cuda:0,cuda:1"))


def test_closing_an_iterator_ends_what_is_under_way(world: Callable[..., World]) -> None:
    here = world(node("one"))
    members = here.members()
    here.cluster.ray.wait = lambda refs, num_returns=1, timeout=None: (refs[:1], refs[1:])
    answers = RayBackend(members, Settings()).map(number_of, here.items(100), never)
    next(answers)
    (actor,) = [member.actor for member in members.by_id.values()]
    answers.close()
    assert actor in here.cluster.ray.killed


def test_at_the_end_actors_may_clear_up_before_they_are_ended(world: Callable[..., World]) -> None:
    here = world(node("one"))
    members = here.members()
    actor = members.by_id["id-one"].actor
    here.cluster.ray.wait = lambda refs, **_: ([ref.value() for ref in refs], [])
    members.close()
    assert here.readers["one"].closed
    assert here.cluster.ray.killed == [actor]


def test_a_map_for_a_node_that_is_not_there_is_refused(world: Callable[..., World]) -> None:
    with pytest.raises(UsageError, match="'jetsn'"):
        world(node("jetson")).members("jetsn:/a=/b")


def test_a_true_network_on_a_node_gives_what_it_gives_here(
    demo_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from music_reclass.extractors import mert
    from music_reclass.extractors.audio import load as audio
    from music_reclass.utils.files import walk
    from tests.extractors import small_models

    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(mert, "BASE", small_models.VARIANT)
    local = small_models.small_mert()
    paths = [file.path for file in walk([str(demo_library)])][:2]
    parcels = [Parcel((number, "elsewhere"), path=path) for number, path in enumerate(paths)]
    actor = NetworkActor(Limits(1, 120.0, 0), small_models.ON_CPU, 1)
    try:
        batch = actor.embed(local.kind, [*parcels, Parcel((9, "x"), path="/nowhere")])
        refused = actor.embed(replace(local.kind, version="2-other"), parcels)
    finally:
        actor.close()
    assert isinstance(batch, Batch)
    for path, vector in zip(paths, batch.answers, strict=False):
        assert np.allclose(vector, local.vector(audio.load(Path(path), "mid30", local.rate).samples), atol=1e-5)
    assert isinstance(batch.answers[2], FailTrack)
    assert batch.place == "the processor"
    assert isinstance(refused, ReclassError)
