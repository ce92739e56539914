"""A Ray of one process: actors are objects, a call runs at once, and what it raised comes with its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from music_reclass.cluster.connection import Node


class FakeRay:
    """`wait`, `get`, `put` and `kill` of Ray; answers of actors that were killed are lost."""

    __version__ = "2.60.0"

    def __init__(self) -> None:
        self.killed: list[Any] = []

    def put(self, value: Any) -> Any:
        return Answer(self, None, lambda: value)

    def wait(
        self, refs: Sequence[Any], num_returns: int = 1, timeout: float | None = None
    ) -> tuple[list[Any], list[Any]]:
        return list(refs)[:num_returns], list(refs)[num_returns:]

    def get(self, refs: Any, timeout: float | None = None) -> Any:
        return [ref.value() for ref in refs] if isinstance(refs, list) else refs.value()

    def kill(self, actor: Any) -> None:
        self.killed.append(actor)


class Answer:
    """A reference to what a call gives; it is made when it is asked for."""

    def __init__(self, ray: FakeRay, actor: Any, call: Callable[[], Any]) -> None:
        self._ray, self._actor, self._call = ray, actor, call

    def value(self) -> Any:
        if self._actor is not None and self._actor in self._ray.killed:
            raise RuntimeError("The actor died unexpectedly.")
        return self._call()


class Actor:
    """A handle: `handle.method.remote(...)`."""

    def __init__(self, ray: FakeRay, behind: Any) -> None:
        self._ray, self.behind = ray, behind

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.behind, name)
        return SimpleNamespace(remote=lambda *given: Answer(self._ray, self, lambda: method(*given)))


class FakeCluster:
    """Nodes that may be added and taken away; `make` gives the object behind an actor."""

    def __init__(self, make: Callable[..., Any], *nodes: Node) -> None:
        self.ray: Any = FakeRay()
        self.alive = list(nodes)
        self.started: list[tuple[str, str, int]] = []
        self._make = make

    def nodes(self) -> list[Node]:
        return list(self.alive)

    def start(self, cls: type, node: Node, *arguments: Any, gpus: int = 0) -> Any:
        self.started.append((cls.__name__, node.name, gpus))
        return Actor(self.ray, self._make(cls, node, *arguments))


def node(name: str, cpus: int = 1, gpus: int = 0) -> Node:
    return Node(f"id-{name}", name, (name,), cpus, gpus, "", 10**8)
