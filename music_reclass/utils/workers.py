"""Worker processes that survive what decoders do: a crash or a hang costs one item and one worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from music_reclass.errors import FailTrack, SkipTrack, TrackError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
MOST_THREADS = 16  # of one network; beyond that its small batches wait for each other more than they compute
WAITING = 0.1  # of its time; a network that waits longer for its workers is not what slows them down
FADING = 0.98  # so much less counts an item when the next is there
STARTUP_SECONDS = 120.0  # a cold disk or a Jetson takes long to import SciPy; the first item waits for it


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    items: dict[int, Any] = field(
        default_factory=dict
    )  # by number; the first is at work, the others wait in the worker
    deadline: float = 0.0
    warm: bool = False
    recalled: bool = False  # it was asked for the last of its items


class Meter:
    """What work waits for, measured where it is done; what was long ago counts little."""

    def __init__(self, device: str = "CPU") -> None:
        self.device = device  # where a network computes
        self._workers = [0.0, 0.0]  # seconds in which they computed or waited for a core; for a disk
        self._network = [0.0, 0.0]  # seconds in which it computed; waited for workers

    def add(self, busy: float, waited: float, of_network: bool = False) -> None:
        """One more item took so many seconds: of a worker, or of the network that workers feed."""
        seconds = self._network if of_network else self._workers
        seconds[:] = FADING * seconds[0] + max(0.0, busy), FADING * seconds[1] + max(0.0, waited)

    @property
    def bottleneck(self) -> str:
        """`disk`, `CPU` or `GPU`: what would have to be faster first; empty where nothing was measured yet."""
        computed, starved = self._network
        if computed > 0 and starved <= WAITING * (computed + starved):
            return self.device
        if sum(self._workers) <= 0:
            return ""
        return "disk" if self._workers[1] > self._workers[0] else "CPU"


_environment = threading.Lock()  # two pools may start their workers from two threads
_set_here: set[str] = set()  # variables that `limit_threads` has set, not the user


def limit_threads() -> None:
    """Let libraries compute with one thread in this process, unless its environment says otherwise.

    Call it before NumPy loads. Threads of torch that wait for each other sleep: on a busy machine two that spin took
    2.6 times the processor seconds of one, asleep as many as one (performance.md).
    """
    for name in THREAD_VARIABLES:  # small matrices on a busy machine are many times slower with several threads
        if name not in os.environ:
            os.environ[name] = "1"
            _set_here.add(name)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def network_threads(decoders: int = 1) -> int:
    """With how many threads a network on the processor computes beside `decoders` busy workers.

    What the user's OMP_NUM_THREADS says, else all cores but those of the workers, at least two where there are two:
    a worker that feeds a network of that speed is mostly idle.
    """
    from music_reclass.config import usable_cores

    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if "OMP_NUM_THREADS" not in _set_here and asked.isdigit() and int(asked) > 0:
        return int(asked)
    cores = usable_cores()
    return max(min(cores, 2), min(cores - decoders, MOST_THREADS))


class WorkerPool(Generic[Item, Result]):
    """Runs `function` over items in `jobs` spawned processes with one BLAS thread each.

    `function` must be picklable. `prepare` runs once in each worker before its first item. A TrackError that
    `function` raises comes back as the result of its item; so does any other exception, as FailTrack("bug").
    A worker that exceeds `timeout` seconds on one item, or dies, is replaced. An item for which a worker wants more
    than `memory` bytes in all (0: no limit; on Linux only) comes back as FailTrack("memory").

    A worker may hold `ahead` items, so that the next is there when one is done; one that it has not begun goes to
    another where it dies, or where the other has none. `meter` takes what the work waits for.

    Several functions: one worker for each. One that dies, or whose answer is an exception, is not replaced; the items
    it holds come back with that exception.
    """

    def __init__(
        self,
        function: Callable[[Item], Result] | Sequence[Callable[[Item], Result]],
        jobs: int,
        timeout: float,
        prepare: Callable[[], None] | None = None,
        *,
        memory: int = 0,
        ahead: int = 1,
        nice: int = 5,
        meter: Meter | None = None,
    ) -> None:
        self._replaces = callable(function)
        self._functions = deque([function] if callable(function) else function)  # of workers to be started
        self._limits = memory, nice
        self._ahead = ahead
        self._meter = Meter() if meter is None else meter
        self._numbers = count()
        self._returned: deque[Item] = deque()  # not begun by the worker that held them
        self._prepare = prepare
        self._timeout = timeout
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self.jobs = max(1, jobs)  # may grow while `map` runs

    def __enter__(self) -> WorkerPool[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_workers(self) -> bool:
        """Whether a worker is there or may be started."""
        return bool(self._workers or self._functions)

    def map(self, items: Iterable[Item]) -> Iterator[tuple[Item, Result | TrackError]]:
        """Each item with its result, in the order of completion; at most `jobs` items are under way, or `ahead` each.

        To stop in order, end `items`: what is under way still comes back. Where no worker is left it ends early.
        """
        source = iter(items)
        exhausted = False
        while True:
            while self._has_room() and (self._returned or not exhausted):
                try:
                    item = self._returned.popleft() if self._returned else next(source)
                except StopIteration:
                    exhausted = True
                    break
                self._give(self._for_one_more(), item)
            if not any(worker.items for worker in self._workers):
                return
            if exhausted:
                self._recall()
            yield from self._collect()

    def end_items(self) -> None:
        """End what is under way, from another thread than that of `map`: those items come back as if it had crashed."""
        for worker in list(self._workers):
            worker.process.kill()

    def close(self) -> None:
        """End all workers at once, without waiting for their items."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()

    def _has_room(self) -> bool:
        """Whether a worker may have one more item, or may be started for it."""
        return self._may_start() or any(len(worker.items) < self._ahead for worker in self._workers)

    def _may_start(self) -> bool:
        return bool(self._functions) and len(self._workers) < self.jobs

    def _for_one_more(self) -> _Worker:
        """The worker that gets the next item: first one without any, then a new one."""
        fewest = min(self._workers, key=lambda worker: len(worker.items), default=None)
        if fewest is None or (fewest.items and self._may_start()):
            return self._start()
        return fewest

    def _start(self) -> _Worker:
        function = self._functions[0] if self._replaces else self._functions.popleft()
        with _one_thread():
            ours, theirs = self._context.Pipe()
            order = (theirs, function, self._prepare, self._limits)
            process = self._context.Process(target=_serve, args=order, daemon=True)
            with _held_back():
                process.start()
            theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _recall(self) -> None:
        """Ask as many workers as there are without an item for the last that they hold and have not begun."""
        idle = sum(not worker.items for worker in self._workers)
        for worker in self._workers:
            if idle and len(worker.items) > 1 and not worker.recalled:
                worker.recalled = True
                idle -= 1
                self._send(worker, next(reversed(worker.items)))

    def _give(self, worker: _Worker, item: Item) -> None:
        if not worker.items:
            self._set_deadline(worker)
        number = next(self._numbers)
        worker.items[number] = item
        self._send(worker, (number, item))

    def _send(self, worker: _Worker, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # If it died while idle, `_collect` sees the closed pipe and answers for the item.
            worker.pipe.send(message)

    def _set_deadline(self, worker: _Worker) -> None:
        worker.deadline = time.monotonic() + self._timeout + (0.0 if worker.warm else STARTUP_SECONDS)

    def _collect(self) -> list[tuple[Item, Result | TrackError]]:
        busy = {worker.pipe: worker for worker in self._workers if worker.items}
        patience = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
        answered: list[tuple[Item, Result | TrackError]] = []
        for pipe in wait(list(busy), timeout=patience):
            worker = busy.pop(pipe)  # type: ignore[call-overload]
            try:
                number, answer, seconds = worker.pipe.recv()
            except (EOFError, ConnectionResetError):
                worker.process.join()
                code = worker.process.exitcode
                answered += self._retire(worker, FailTrack("crashed", f"the decoder crashed (exit code {code})"))
                continue
            worker.recalled = False
            if seconds is None:
                self._returned.append(worker.items.pop(number))
                continue
            if isinstance(answer, Exception) and not self._replaces:
                answered += self._retire(worker, answer)
                continue
            if worker.warm:  # the first item waits for libraries to load
                self._meter.add(*seconds)
            worker.warm = True
            answered.append((worker.items.pop(number), answer))
            self._set_deadline(worker)
        now = time.monotonic()
        for worker in busy.values():
            if worker.process.is_alive() and now >= worker.deadline and not worker.pipe.poll():
                answered += self._retire(worker, FailTrack("timeout", f"gave up after {self._timeout:g} seconds"))
        return answered

    def _retire(self, worker: _Worker, answer: Any) -> list[tuple[Item, Any]]:
        """End a worker; the item that it was at with this answer, and the others too where none replaces it."""
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()
        first, *others = worker.items.values()
        if self._replaces:
            self._returned.extend(others)
            others = []
        return [(item, answer) for item in (first, *others)]


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Processes that start within the block do not get the signals that are the parent's until they let them in."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # where it is not yet, starting it would let the signals in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _of_parent())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _of_parent() -> list[signal.Signals]:
    """Ctrl-C, a closed terminal, a stop by systemd: workers get them too, but it is the parent that ends in order."""
    return [getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM") if hasattr(signal, name)]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that start within the block give BLAS one thread; this process keeps what it has."""
    with _environment:
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # read when NumPy loads in the child
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _limit_memory(size: int) -> None:
    """Let this process have no more than `size` bytes of memory of its own; mapped libraries do not count."""
    if size and sys.platform == "linux":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or size < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (size, hard))


def _serve(
    pipe: Connection, function: Callable[[Any], Any], prepare: Callable[[], None] | None, limits: tuple[int, int]
) -> None:
    memory, nice = limits
    for of_parent in _of_parent():
        signal.signal(of_parent, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(nice)
    if prepare is not None:
        prepare()
    _limit_memory(memory)
    inbox = _Inbox(pipe)
    for number, item in inbox:
        before = _spent()
        try:
            answer = function(item)
        except (SkipTrack, FailTrack) as error:
            answer = type(error)(error.reason, error.detail)
        except MemoryError:
            answer = FailTrack("memory", "reading it needs more memory than a worker may have (worker_memory)")
        except Exception as error:  # the per-track guard: one bad file costs one file
            answer = FailTrack("bug", f"{type(error).__name__}: {error}")
        wall, busy = (now - then for now, then in zip(_spent(), before, strict=True))
        try:
            inbox.send(number, answer, (busy, wall - busy))
        except (BrokenPipeError, ConnectionResetError):
            return


def _spent() -> tuple[float, float]:
    """Seconds on the clock, and those in which this process computed or waited for a core; the rest waits for a disk.

    Where the kernel does not say how long the process waited for a core, that is in the rest too.
    """
    queued = 0.0
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/thread-self/schedstat", "rb") as file:
        queued = int(file.read().split()[1]) / 1e9
    return time.perf_counter(), time.process_time() + queued


class _Inbox:
    """The numbered items of a worker until the parent is gone, however it ended; taken in by a thread, so that the next
    is there when one is done, and can be given back until it is begun."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._waiting: dict[int, Any] = {}
        self._ended = False
        self._change = threading.Condition()
        self._sending = threading.Lock()
        threading.Thread(target=self._take_in, name="take in", daemon=True).start()

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                number = next(iter(self._waiting))
                item = self._waiting.pop(number)
            yield number, item

    def send(self, number: int, answer: Any, seconds: tuple[float, float] | None) -> None:
        """The answer of an item and what it took; no seconds: it is given back."""
        with self._sending:
            self._pipe.send((number, answer, seconds))

    def _take_in(self) -> None:
        try:
            while True:
                message = self._pipe.recv()
                with self._change:
                    if not isinstance(message, int):
                        self._waiting[message[0]] = message[1]
                        self._change.notify()
                        continue
                    is_here = self._waiting.pop(message, self) is not self
                if is_here:
                    self.send(message, None, None)
        except (EOFError, ConnectionResetError, BrokenPipeError):
            pass
        finally:
            with self._change:
                self._ended = True
                self._change.notify()
