"""Joins a Ray cluster or starts one on this machine; what Ray says becomes sentences, and it prints nothing."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from music_reclass.errors import ReclassError, UsageError
from music_reclass.utils.lazy import require

LOCAL, AUTO = "local", "auto"
PORT = 6379
KNOCK = 5.0  # seconds in which an address must answer
OBJECTS = 100 * 2**20  # bytes of the object store of a cluster that is started here; Ray wants 75 MiB
LONGEST_FOLDER = 40  # characters of Ray's folder: the names of its sockets below may have 107
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # the end of a node is ours to tell
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
_MISMATCH = re.compile(r"Ray: (\S+)\s+Python: (\S+).*?Ray: (\S+)\s+Python: (\S+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Node:
    """A node as Ray lists it."""

    id: str
    name: str
    names: tuple[str, ...]  # what --map may call it
    cpus: int
    gpus: int
    card: str  # as Ray calls it
    objects: int  # bytes of its object store


class Cluster:
    """A connection to Ray: its nodes, and actors on them."""

    def __init__(self, ray: ModuleType) -> None:
        self.ray = ray

    def nodes(self) -> list[Node]:
        """The nodes that are alive."""
        return listed([entry for entry in self.ray.nodes() if entry["Alive"]])

    def start(self, cls: type, node: Node, *arguments: Any, gpus: int = 0) -> Any:
        """An actor on a node, which takes its cards and none of its processors: other actors of ours wait meanwhile."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        place = NodeAffinitySchedulingStrategy(node.id, soft=False)
        options = {"num_cpus": 0, "num_gpus": gpus, "max_restarts": 0, "scheduling_strategy": place}
        return self.ray.remote(cls).options(**options).remote(*arguments)


def listed(entries: list[Mapping[str, Any]]) -> list[Node]:
    """Nodes from what `ray.nodes()` says, sorted by name; nodes of one name get the beginning of their number."""
    first = [_names(entry) for entry in entries]
    nodes = []
    for entry, names in zip(entries, first, strict=True):
        resources = entry["Resources"]
        several = sum(names[0] == others[0] for others in first) > 1
        name = f"{names[0]}-{entry['NodeID'][:6]}" if several else names[0]
        cards = [key.partition(":")[2] for key in resources if key.startswith("accelerator_type:")]
        nodes.append(
            Node(
                entry["NodeID"], name, (name, *names), max(1, int(resources.get("CPU", 0))),
                int(resources.get("GPU", 0)), cards[0] if cards else "", int(resources.get("object_store_memory", 0)),
            )
        )  # fmt: skip
    return sorted(nodes, key=lambda node: node.name)


def _names(entry: Mapping[str, Any]) -> list[str]:
    """Name, host and address of a node; a name that is only the address comes last."""
    names = [entry["NodeName"], entry["NodeManagerHostname"], entry["NodeManagerAddress"]]
    return list(dict.fromkeys(sorted(names, key=lambda name: name == entry["NodeManagerAddress"])))


@contextmanager
def connected(address: str, jobs: int) -> Iterator[Cluster]:
    """The cluster at `address`; `local` is one of this machine with so many processors, which ends with the block.

    MissingExtra without Ray; UsageError for what is no address; ReclassError where nothing answers that fits.
    """
    where = _checked(address)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with _silence():
        ray = require("ray", "cluster")
    folder: str | None = None
    options: dict[str, Any] = {"address": where}
    if where == LOCAL:
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:  # else Ray writes a token into ~/.ray
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        folder = _folder()
        options |= {"num_cpus": jobs, "object_store_memory": OBJECTS, "include_dashboard": False, "_temp_dir": folder}
    try:
        with _signals_kept(), _silence():
            _init(ray, options, address)
        yield Cluster(ray)
    finally:
        with _signals_kept():
            ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _checked(address: str) -> str:
    """The address as Ray takes it, of something that answers."""
    if address in (LOCAL, AUTO):
        return address
    if "://" in address:
        raise UsageError(
            f"{address} is no address of a cluster's head; give HOST or HOST:PORT ({PORT} by default), and let this "
            "machine be a node of it (ray start --address=HOST:PORT)."
        )
    host, colon, port = address.rpartition(":")
    host, port = (host, port) if colon else (address, str(PORT))
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{address!r} is no address; write HOST or HOST:PORT, local, or auto.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()
    except OSError as error:
        raise ReclassError(
            f"No Ray answers at {host}:{port} ({error.strerror or error}); start it there with ray start --head, "
            "or use --ray local."
        ) from error
    return f"{host}:{port}"


def _init(ray: ModuleType, options: Mapping[str, Any], address: str) -> None:
    import logging

    # Not to be had by an option: messages of other nodes' ends, with their logs, go to stdout.
    ray._private.worker._worker_logs_enabled = False
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=True)
    except Exception as error:  # whatever Ray raises of its dozen kinds, none of which is ours
        raise ReclassError(_sentence(address, str(error))) from error


def _sentence(address: str, said: str) -> str:
    """What stopped Ray from starting or joining, and the cure."""
    if mismatch := _MISMATCH.search(said):
        ray, python, our_ray, our_python = mismatch.groups()
        return (
            f"The cluster at {address} runs Ray {ray} on Python {python}, this machine Ray {our_ray} on Python "
            f"{our_python}; all machines need the same versions, to the last number."
        )
    line = next((line.strip() for line in said.splitlines() if line.strip()), "")[:200]
    if address == LOCAL:
        return f"Ray did not start on this machine ({line}); the scan works without --ray, too."
    if "token" in said.lower():
        return (
            f"The cluster at {address} asks for a token; copy ~/.ray/auth_token from its head, or set RAY_AUTH_TOKEN "
            f"({line})."
        )
    start = "ray start --head" if address == AUTO else f"ray start --address={address}"
    return f"This machine is no node of a Ray cluster that answers ({line}); {start} makes it one."


def _folder() -> str:
    """A folder of our own for sockets and logs, short enough for the former; Ray's own choice is not cleaned up."""
    parent = tempfile.gettempdir()
    if len(os.path.join(parent, "reclass-ray-12345678")) > LONGEST_FOLDER:
        parent = "/tmp"
    return tempfile.mkdtemp(prefix="reclass-ray-", dir=parent)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """What Ctrl-C and the like do afterwards is what they did before: Ray takes SIGTERM for itself."""
    names = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in names}
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(ValueError, TypeError):  # another thread than the main one; a handler that is not Python's
                signal.signal(number, handler)


@contextmanager
def _silence() -> Iterator[None]:
    """What Ray prints to either stream while it starts is lost: what stops it comes as an exception."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept: dict[int, int] = {}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for handle in (1, 2):
            with suppress(OSError):  # closed
                kept[handle] = os.dup(handle)
                os.dup2(nowhere, handle)
        yield
    finally:
        for handle, before in kept.items():
            os.dup2(before, handle)
            os.close(before)
        os.close(nowhere)
