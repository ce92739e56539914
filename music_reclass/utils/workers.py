"""Worker processes that survive what decoders do: a crash or a hang costs one item and one worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from music_reclass.errors import FailTrack, SkipTrack, TrackError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
STARTUP_SECONDS = 120.0  # a cold disk or a Jetson takes long to import SciPy; the first item waits for it


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    item: Any = None
    busy: bool = False
    deadline: float = 0.0
    warm: bool = False


class WorkerPool(Generic[Item, Result]):
    """Runs `function` over items in `jobs` spawned processes with one BLAS thread each.

    `function` must be picklable. `prepare` runs once in each worker before its first item. A TrackError that
    `function` raises comes back as the result of its item; so does any other exception, as FailTrack("bug").
    A worker that exceeds `timeout` seconds on one item, or dies, is replaced. An item for which a worker wants more
    than `memory` bytes in all (0: no limit; on Linux only) comes back as FailTrack("memory").
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        jobs: int,
        timeout: float,
        prepare: Callable[[], None] | None = None,
        *,
        memory: int = 0,
    ) -> None:
        self._function = function
        self._memory = memory
        self._prepare = prepare
        self._timeout = timeout
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._jobs = max(1, jobs)

    def __enter__(self) -> WorkerPool[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(self, items: Iterable[Item]) -> Iterator[tuple[Item, Result | TrackError]]:
        """Each item with its result, in the order of completion; at most `jobs` items are under way.

        To stop in order, end `items`: what is under way still comes back.
        """
        source = iter(items)
        exhausted = False
        while True:
            while not exhausted and (worker := self._idle()) is not None:
                try:
                    item = next(source)
                except StopIteration:
                    exhausted = True
                    break
                self._give(worker, item)
            if not any(worker.busy for worker in self._workers):
                return
            yield from self._collect()

    def close(self) -> None:
        """End all workers at once, without waiting for their items."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()

    def _idle(self) -> _Worker | None:
        for worker in self._workers:
            if not worker.busy:
                return worker
        return self._start() if len(self._workers) < self._jobs else None

    def _start(self) -> _Worker:
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # read when NumPy loads in the child
        try:
            ours, theirs = self._context.Pipe()
            order = (theirs, self._function, self._prepare, self._memory)
            process = self._context.Process(target=_serve, args=order, daemon=True)
            process.start()
            theirs.close()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _give(self, worker: _Worker, item: Item) -> None:
        worker.item, worker.busy = item, True
        worker.deadline = time.monotonic() + self._timeout + (0.0 if worker.warm else STARTUP_SECONDS)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # If it died while idle, `_collect` sees the closed pipe and answers for the item.
            worker.pipe.send(item)

    def _collect(self) -> list[tuple[Item, Result | TrackError]]:
        busy = {worker.pipe: worker for worker in self._workers if worker.busy}
        patience = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
        answered: list[tuple[Item, Result | TrackError]] = []
        for pipe in wait(list(busy), timeout=patience):
            worker = busy[pipe]  # type: ignore[index]
            try:
                answer = worker.pipe.recv()
            except (EOFError, ConnectionResetError):
                worker.process.join()
                code = worker.process.exitcode
                answered.append((worker.item, FailTrack("crashed", f"the decoder crashed (exit code {code})")))
                self._retire(worker)
                continue
            worker.busy, worker.warm = False, True
            answered.append((worker.item, answer))
        now = time.monotonic()
        for worker in busy.values():
            if worker.busy and worker.process.is_alive() and now >= worker.deadline and not worker.pipe.poll():
                seconds = f"{self._timeout:g}"
                answered.append((worker.item, FailTrack("timeout", f"gave up after {seconds} seconds")))
                self._retire(worker)
        return answered

    def _retire(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()


def _limit_memory(size: int) -> None:
    """Let this process have no more than `size` bytes of memory of its own; mapped libraries do not count."""
    if size and sys.platform == "linux":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or size < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (size, hard))


def _serve(pipe: Connection, function: Callable[[Any], Any], prepare: Callable[[], None] | None, memory: int) -> None:
    for name in ("SIGINT", "SIGHUP"):  # Ctrl-C and a closed terminal are for the parent, which ends the run in order
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)
    if prepare is not None:
        prepare()
    _limit_memory(memory)
    while True:
        try:
            item = pipe.recv()
        except (EOFError, ConnectionResetError):
            return  # the parent is gone, however it ended
        try:
            answer = function(item)
        except (SkipTrack, FailTrack) as error:
            answer = type(error)(error.reason, error.detail)
        except MemoryError:
            answer = FailTrack("memory", "reading it needs more memory than a worker may have (worker_memory)")
        except Exception as error:  # the per-track guard: one bad file costs one file
            answer = FailTrack("bug", f"{type(error).__name__}: {error}")
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return
