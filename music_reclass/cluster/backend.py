"""The backend of a Ray cluster: which nodes take part, and how reading and networks are spread over them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_reclass.classification.reading import path_of
from music_reclass.cluster.dispatch import Dispatcher, Lost, Parcel
from music_reclass.cluster.node import Facts, Fma518, Limits, NetworkActor, Sample, facts
from music_reclass.cluster.requirements import (
    OTHERS,
    PATHS,
    check_names,
    lack,
    map_of,
    refusal,
    view,
    wanting,
)
from music_reclass.containers.structure import opened
from music_reclass.domain import FeatureKind, Track
from music_reclass.errors import FailTrack, ReclassError, TrackError, UsageError
from music_reclass.extractors.device import Placement
from music_reclass.extractors.registry import network_kinds
from music_reclass.extractors.weights import store
from music_reclass.plex.paths import PathMap
from music_reclass.utils.workers import STARTUP_SECONDS

if TYPE_CHECKING:
    from music_reclass.cluster.connection import Cluster, Node
    from music_reclass.config import Settings
    from music_reclass.domain import Vector

ANSWER = 120.0  # seconds that a node has to say what it is: its first actor imports reclass from a cold disk
FAREWELL = 3.0  # seconds that actors have to end
LOOK = 3.0  # seconds between two looks at the nodes of the cluster
FAILURES = 3  # ends of its actors after which a node is left out
PIECE = 16 * 2**20  # bytes of weights that are sent at once
TARGET = 6.0  # seconds of work in a batch: a stop waits for two, the end of a node costs two
MOST = 256  # items in a batch
FIRST = 4  # tracks in the first batch of a network


@dataclass(slots=True)
class Member:
    """A node that takes part."""

    node: Node
    actor: Any  # Fma518
    facts: Facts
    view: str  # PATHS, BYTES or OTHERS
    path_map: PathMap
    round: int  # how often its actors were started

    def path(self, path: str) -> str:
        """Where the node has a file."""
        return self.path_map.local(path) or path


class Members:
    """The nodes that take part: asked what they are, compared with this machine, given weights, or refused by name.

    Nodes may join and leave at any time; `look` notices.
    """

    def __init__(
        self,
        cluster: Cluster,
        kinds: Sequence[FeatureKind],
        samples: Sequence[Sample],
        *,
        maps: Mapping[str, PathMap],
        limits: Limits,
        say: Callable[[str], None],
        speed: bool = False,
    ) -> None:
        self.cluster, self._kinds, self.samples = cluster, tuple(kinds), tuple(samples)
        self._maps, self._limits, self._say, self._speed = maps, limits, say, speed
        self.here = facts(self._kinds, cluster.ray.__version__)
        self.by_id: dict[str, Member] = {}
        self.refused: dict[str, tuple[Node, str, Facts | None]] = {}
        self._asked: dict[str, tuple[Node, Any, list[Any], float]] = {}
        self._rounds: dict[str, int] = {}
        self._took_part: dict[str, Node] = {}
        self._looked = 0.0
        self._opened = False

    def open(self) -> None:
        """Ask all nodes and wait for their answers. UsageError for a map of a node that is not there."""
        nodes = self.cluster.nodes()
        check_names(self._maps, [name for node in nodes for name in node.names])
        self.look(at_once=True)
        while self._asked:
            self._wait(1.0)
            self._answered()
        self._opened = True

    def close(self) -> None:
        """Let the actors end in order; what does not within seconds ends with the connection."""
        with suppress(Exception):  # of Ray, which may be gone
            answers = [member.actor.close.remote() for member in self.by_id.values()]
            self.cluster.ray.wait(answers, num_returns=len(answers), timeout=FAREWELL)
        for member in list(self.by_id.values()):
            self.end(member)

    def require_one(self) -> None:
        """ReclassError where no node takes part."""
        if not self.by_id:
            why = "; ".join(f"{node.name}: {why}" for node, why, _ in self.refused.values())
            raise ReclassError(f"No node of the cluster can take part ({why or 'it has none'}).")

    def look(self, *, at_once: bool = False) -> None:
        """Notice nodes that joined or left, at most every few seconds, and take up what was answered."""
        if at_once or time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            alive = {node.id: node for node in self.cluster.nodes()}
            for id in [id for id in self._took_part if id not in alive]:
                self._say(f"The node {self._took_part.pop(id).name} left; what it was at goes to others.")
                if id in self.by_id:
                    self.end(self.by_id[id])
            for id in [id for id in self._asked if id not in alive]:
                del self._asked[id]
            for id, node in alive.items():
                if id not in self.by_id and id not in self.refused and id not in self._asked:
                    self._ask(node)
        self._answered()

    def lost(self, member: Member, why: str) -> None:
        """An actor of a node ended: the node is asked anew, unless that has happened too often."""
        if self.by_id.get(member.node.id) is not member:
            return
        self.end(member)
        if member.round >= FAILURES:
            self.refuse(member.node, f"its workers ended {FAILURES} times ({why})", member.facts)

    def end(self, member: Member) -> None:
        """End the actor of a node that takes part no longer."""
        self.by_id.pop(member.node.id, None)
        self.kill(member.actor)

    def kill(self, actor: Any) -> None:
        """End an actor."""
        with suppress(Exception):  # it may be dead, or Ray
            self.cluster.ray.kill(actor)

    def refuse(self, node: Node, why: str, there: Facts | None = None) -> None:
        """Leave a node out, and say so."""
        self.refused[node.id] = node, why, there
        self._say(f"The node {node.name} is left out: {why}.")

    def _ask(self, node: Node) -> None:
        self._rounds[node.id] = self._rounds.get(node.id, 0) + 1
        path_map = map_of(self._maps, node.names)
        paths = [path_map.local(sample.path) or sample.path for sample in self.samples]
        jobs = min(self._limits.jobs or node.cpus, node.cpus)
        actor = self.cluster.start(Fma518, node, self._limits._replace(jobs=jobs))
        measured = paths[0] if paths and self._speed else None
        answers = [actor.facts.remote(self._kinds, measured), actor.samples.remote(paths)]
        self._asked[node.id] = node, actor, answers, time.monotonic()

    def _wait(self, seconds: float) -> None:
        refs = [ref for _, _, answers, _ in self._asked.values() for ref in answers]
        if refs:
            self.cluster.ray.wait(refs, num_returns=len(refs), timeout=seconds)

    def _answered(self) -> None:
        """Take up the nodes whose answers have come."""
        ray = self.cluster.ray
        for id, (node, actor, answers, since) in list(self._asked.items()):
            ready, _ = ray.wait(answers, num_returns=len(answers), timeout=0)
            if len(ready) < len(answers):
                if time.monotonic() - since > ANSWER:
                    del self._asked[id]
                    self.kill(actor)
                    self.refuse(node, f"it has not answered for {ANSWER:.0f} seconds")
                continue
            del self._asked[id]
            try:
                there, samples = ray.get(answers)
                self._admit(node, actor, there, samples)
            except ReclassError as error:
                self.kill(actor)
                self.refuse(node, str(error))
            except Exception as error:  # of Ray, or of the code on the node
                self.kill(actor)
                if any(node.id == other.id for other in self.cluster.nodes()):
                    self.refuse(node, f"reclass does not run there ({_last_line(error)})")

    def _admit(self, node: Node, actor: Any, there: Facts, samples: list[Sample | None]) -> None:
        firm = [kind.key for kind in self._kinds if kind.name not in network_kinds()]
        why = refusal(self.here, there, ())
        if not why and (models := wanting(self.here, there)):
            why = next((said for model in models if (said := self._send(model, node, actor))), "")
            there = replace(self._get(actor.facts.remote(self._kinds)), decode=there.decode)
        why = why or refusal(self.here, there, firm)
        if why:
            self.kill(actor)
            self.refuse(node, why, there)
            return
        seen = view(self.samples, samples)
        if seen != PATHS and self.samples:
            first = self.samples[0].path
            cure = f"--map {node.name}:{os.path.dirname(first)}=FOLDER names the same folder there"
            what = "has other files under the same names" if seen == OTHERS else "does not see the music"
            self._say(f"The node {node.name} {what}, so files are sent to it; {cure}.")
        if self._opened and self._rounds[node.id] == 1:
            self._say(f"The node {node.name} joined.")
        path_map = map_of(self._maps, node.names)
        self._took_part[node.id] = node
        self.by_id[node.id] = Member(node, actor, there, seen, path_map, self._rounds[node.id])

    def _send(self, model: str, node: Node, actor: Any) -> str:
        """Install a model's weights on a node; why that cannot be, "" where it is done."""
        installed = store.needed(model)
        self._say(f"The weights of {model} are sent to the node {node.name}.")
        files = [path for path in sorted(installed.folder.iterdir()) if path.is_file()]
        names = [path.name for path in files if path.name != store.MANIFEST and not path.name.startswith(".")]
        for name in names:
            with (installed.folder / name).open("rb") as file:
                offset = 0
                while piece := file.read(PIECE):
                    self._get(actor.receive.remote(model, name, offset, piece))
                    offset += len(piece)
        manifest = asdict(installed)
        del manifest["folder"]
        said: str = self._get(actor.finish.remote(names, manifest))
        return said

    def _get(self, ref: Any) -> Any:
        return self.cluster.ray.get(ref, timeout=ANSWER)


class _Calls:
    """The carrier of one call of the backend. `workers_of` gives the workers of a member with their actors."""

    def __init__(
        self,
        members: Members,
        workers_of: Callable[[], Mapping[str, tuple[Member, Any]]],
        call: Callable[[Any, Sequence[Parcel]], Any],
        *,
        least: Callable[[Node], int],
        timeout: float,
        done: Callable[[str, Any], None] = lambda worker, batch: None,
    ) -> None:
        self._members, self._workers_of, self._call = members, workers_of, call
        self._least, self._timeout, self._done = least, timeout, done
        self._hands: dict[str, tuple[Member, Any]] = {}  # all that ever had a batch
        self._sent: dict[Any, tuple[str, int]] = {}
        self._each: dict[str, float] = {}  # seconds an item takes, by worker
        self._dropped: set[str] = set()

    def node_of(self, worker: str) -> str:
        """The name of the node of a worker."""
        return self._hands[worker][0].node.name

    def workers(self) -> Sequence[str]:
        self._members.look()
        now = {name: hand for name, hand in self._workers_of().items() if name not in self._dropped}
        self._hands.update(now)
        return list(now)

    def batch_size(self, worker: str) -> int:
        least = self._least(self._hands[worker][0].node)
        each = self._each.get(worker)
        return least if each is None else max(least, min(MOST, int(TARGET / max(each, 1e-3))))

    def patience(self, worker: str, count: int) -> float:
        return STARTUP_SECONDS + self._timeout * (2 + count / self._hands[worker][0].node.cpus)

    def pack(self, worker: str, item: Any, as_bytes: bool) -> Parcel | TrackError:
        member = self._hands[worker][0]
        path = path_of(item)
        if member.view == PATHS and not as_bytes:
            return Parcel(item, path=member.path(path))
        try:
            content = _content(item, path)
        except TrackError as error:
            return error
        return Parcel(item, content=self._members.cluster.ray.put(content), size=len(content))

    def send(self, worker: str, parcels: Sequence[Parcel]) -> Hashable:
        ticket: Hashable = self._call(self._hands[worker][1], list(parcels))
        self._sent[ticket] = worker, len(parcels)
        return ticket

    def receive(self, tickets: Sequence[Hashable], seconds: float) -> list[tuple[Hashable, list[Any] | Lost]]:
        ray = self._members.cluster.ray
        if not tickets:
            time.sleep(seconds)
            return []
        ready, _ = ray.wait(list(tickets), num_returns=1, timeout=seconds)
        if ready and len(tickets) > 1:
            ready, _ = ray.wait(list(tickets), num_returns=len(tickets), timeout=0)
        return [(ticket, self._outcome(ticket)) for ticket in ready]

    def _outcome(self, ticket: Any) -> list[Any] | Lost:
        worker, count = self._sent.pop(ticket)
        try:
            batch = self._members.cluster.ray.get(ticket)
        except Exception as error:  # of Ray: the actor, its node or its answer is gone; or of the code on the node
            why = _last_line(error)
            self._end(worker, why)
            return Lost(why)
        if isinstance(batch, ReclassError):
            return [batch] * count
        each = batch.seconds / max(1, count)
        self._each[worker] = each if worker not in self._each else 0.5 * (each + self._each[worker])
        self._done(worker, batch)
        answers: list[Any] = batch.answers
        return answers

    def drop(self, worker: str, why: str) -> None:
        member, actor = self._hands[worker]
        self._dropped.add(worker)
        self._members.kill(actor)
        if actor is member.actor:
            self._members.end(member)
            self._members.refuse(member.node, why, member.facts)

    def abandon(self) -> None:
        """End the workers that are still at something: nobody waits for it."""
        for worker in {worker for worker, _ in self._sent.values()}:
            self._end(worker, "the scan was stopped")

    def _end(self, worker: str, why: str) -> None:
        member, actor = self._hands[worker]
        self._dropped.add(worker)
        self._members.kill(actor)
        self._members.lost(member, why)


class RayBackend:
    """Files are read and networks compute on the nodes of a cluster; see `classification.reading.Backend`."""

    def __init__(self, members: Members, settings: Settings) -> None:
        if "," in settings.device:
            raise UsageError("With --ray each card of the cluster has a worker anyway; leave the list of --device out.")
        self._members, self._settings = members, settings
        self._networks: dict[tuple[str, int], tuple[Member, Any]] = {}
        self._pieces: dict[str, int] = {}
        self._places: dict[str, set[str]] = {}

    @property
    def in_pieces(self) -> int:
        return sum(self._pieces.values())

    @property
    def places(self) -> dict[str, str]:
        return {name: ", ".join(sorted(nodes)) for name, nodes in self._places.items()}

    @property
    def bottleneck(self) -> str:
        return ""  # each node has its own

    def release(self) -> None:
        for _, actor in self._networks.values():
            self._members.kill(actor)
        self._networks.clear()

    def map(
        self, read: Callable[[Any], Any], items: Iterable[Any], stop: Callable[[], bool]
    ) -> Generator[tuple[Any, Any], None, None]:
        def workers() -> dict[str, tuple[Member, Any]]:
            found = self._members.by_id.values()
            return {f"{member.node.id}:{member.round}": (member, member.actor) for member in found}

        def call(actor: Any, parcels: Sequence[Parcel]) -> Any:
            return actor.read.remote(read, parcels)

        calls = _Calls(self._members, workers, call, least=lambda node: 2 * node.cpus, timeout=self._settings.timeout)
        yield from self._run(calls, items, stop)

    def embed(
        self, tracks: Sequence[tuple[int, str]], kind: FeatureKind, stop: Callable[[], bool]
    ) -> Generator[tuple[tuple[int, str], Vector | TrackError], None, None]:
        def call(actor: Any, parcels: Sequence[Parcel]) -> Any:
            return actor.embed.remote(kind, parcels)

        def done(worker: str, batch: Any) -> None:
            self._pieces[worker] = batch.in_pieces
            self._places.setdefault(kind.name, set()).add(f"{batch.place} of {calls.node_of(worker)}")

        workers = partial(self._network_workers, kind)
        calls = _Calls(self._members, workers, call, least=lambda _: FIRST, timeout=self._settings.timeout, done=done)
        yield from self._run(calls, tracks, stop)

    def _run(
        self, calls: _Calls, items: Iterable[Any], stop: Callable[[], bool]
    ) -> Generator[tuple[Any, Any], None, None]:
        try:
            yield from Dispatcher(calls).run(items, stop)
        finally:
            calls.abandon()

    def _network_workers(self, kind: FeatureKind) -> dict[str, tuple[Member, Any]]:
        """A worker for each card of the nodes that make the kind; where no node has a card, one for each node."""
        lacking = {member.node.name: lack(member.facts, kind.key) for member in self._members.by_id.values()}
        fit = [member for member in self._members.by_id.values() if not lacking[member.node.name]]
        if lacking and not fit:
            why = "; ".join(f"{name}: {why}" for name, why in lacking.items())
            raise ReclassError(f"No node of the cluster can compute {kind.name} ({why}).")
        device = self._settings.device.partition(":")[0]
        cards = [member for member in fit if member.node.gpus and device != "cpu"]
        if fit and not cards and device == "cuda":
            raise UsageError(
                "No node of the cluster offers a card; a node offers one with ray start --num-gpus=1 (a Jetson is not "
                "recognised by itself)."
            )
        found: dict[str, tuple[Member, Any]] = {}
        for member in cards or fit:
            for slot in range(member.node.gpus if cards else 1):
                found[f"{member.node.id}/{slot}:{member.round}"] = member, self._network(member, slot, bool(cards))
        return found

    def _network(self, member: Member, slot: int, card: bool) -> Any:
        key = member.node.id, slot
        before = self._networks.get(key)
        if before is not None and before[0] is member:
            return before[1]
        if before is not None:
            self._members.kill(before[1])
        placement = replace(Placement.from_settings(self._settings), device="auto" if card else self._settings.device)
        jobs = max(1, min(self._settings.jobs or member.node.cpus, member.node.cpus) // (max(1, member.node.gpus)))
        limits = Limits(jobs, self._settings.timeout, self._settings.worker_bytes)
        actor = self._members.cluster.start(
            NetworkActor, member.node, limits, placement, member.node.cpus, gpus=int(card)
        )
        self._networks[key] = member, actor
        return actor


def limits_of(settings: Settings) -> Limits:
    """What the settings let the workers of a node take; 0 jobs: as many as the node offers processors."""
    return Limits(settings.jobs, settings.timeout, settings.worker_bytes)


def _content(item: Any, path: str) -> bytes:
    """The bytes of a file that goes to a node; FailTrack where it cannot be read or is not what was found."""
    with opened(Path(path)) as file:
        data: bytes = file.read()
        status = os.fstat(file.fileno())
    track = item[0]
    if isinstance(track, Track) and (status.st_size, status.st_mtime_ns) != (track.size, track.mtime_ns):
        raise FailTrack("changed", "the file changed while it was read; the next scan takes it up")
    return data


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:200]}" if lines else type(error).__name__
