"""Progress bars with rate and ETA, the orderly stop on Ctrl-C, SIGTERM and SIGHUP, and word to systemd."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn, Task


class Progress(Protocol):
    """One phase of work: how much there is, how much is done, and a note beside the bar."""

    def advance(self, count: int = 1, note: str = "", limit: str = "") -> None:
        """`count` more items are done; `note` replaces the note beside the bar, and `limit` what slows the work."""
        ...

    def foresee(self, total: int | None, later: float | None) -> None:
        """There are `total` items (None: not known yet), and `later` seconds of other work follow (None: some)."""
        ...


class Silent:
    """Progress that is not shown."""

    def advance(self, count: int = 1, note: str = "", limit: str = "") -> None:
        """Nothing is shown."""

    def foresee(self, total: int | None, later: float | None) -> None:
        """Nothing is shown."""


HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # which Windows has not

_LINE_SECONDS = 0.3  # between two lines of progress for another program
hidden = False  # whether no bar is shown, whatever stderr is

# Opens a bar with a title for so many items; None where their number is not known.
Bar = Callable[[str, "int | None"], AbstractContextManager[Progress]]


class _Bar:
    def __init__(self, bar: object, task: object) -> None:
        self._bar, self._task = bar, task

    def advance(self, count: int = 1, note: str = "", limit: str = "") -> None:
        # Notes are file names: what is no printable character is not for the terminal.
        shown = "".join(char if char.isprintable() else "?" for char in note)
        self._bar.update(self._task, advance=count, note=shown, limit=limit)  # type: ignore[attr-defined]

    def foresee(self, total: int | None, later: float | None) -> None:
        self._bar.update(self._task, total=total, later=later)  # type: ignore[attr-defined]


class _Lines:
    """Progress as objects on stderr, a few a second at most."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title, self._total, self._done, self._note, self._limit = title, total, 0, "", ""
        self._printed = 0.0
        self.show()

    def advance(self, count: int = 1, note: str = "", limit: str = "") -> None:
        self._done, self._note, self._limit = self._done + count, note, limit
        if time.monotonic() - self._printed > _LINE_SECONDS:
            self.show()

    def foresee(self, total: int | None, later: float | None) -> None:
        self._total = total

    def show(self) -> None:
        """One line as things stand."""
        state: dict[str, object]
        state = {"phase": self._title, "done": self._done, "total": self._total, "note": self._note}
        state["limit"] = self._limit
        with suppress(OSError):  # nobody reads any more
            os.write(2, (json.dumps({"progress": state}) + "\n").encode())
        self._printed = time.monotonic()


@contextmanager
def progress_bar(title: str, total: int | None, console: Console | None = None) -> Iterator[Progress]:
    """A bar on stderr while the block runs, if stderr is a terminal. `total` None: the end is not known.

    With RECLASS_PROGRESS=json in the environment it is JSON lines for the program that started this one.
    """
    if os.environ.get("RECLASS_PROGRESS") == "json":
        lines = _Lines(title, total)
        yield lines
        lines.show()
        return
    if hidden or not sys.stderr.isatty():
        yield Silent()
        return
    from rich import progress as rich_progress
    from rich.console import Console as RichConsole
    from rich.table import Column

    columns = [
        rich_progress.TextColumn("{task.description:<9.12}"),
        rich_progress.BarColumn(bar_width=14),
        rich_progress.MofNCompleteColumn(),
        _column(lambda task: f"{task.speed:,.1f}/s" if task.speed else ""),
        _column(_time_left),
        _column(lambda task: f"{task.fields['limit']}-bound" if task.fields["limit"] else ""),
        # the one that gives way on a narrow terminal
        rich_progress.TextColumn(
            "{task.fields[note]}", style="dim", markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
    ]  # fmt: skip
    with rich_progress.Progress(
        *columns, console=console or RichConsole(stderr=True), transient=True, speed_estimate_period=120, expand=True
    ) as bar:
        yield _Bar(bar, bar.add_task(title, total=total, note="", limit="", later=0.0))


def _column(shown: Callable[[Task], str]) -> ProgressColumn:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Shown(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(shown(task))

    return Shown()


def _time_left(task: Task) -> str:
    """The time until the last phase ends, as `1:02:03`; with a `+` where a later phase takes nobody knows how long."""
    if task.remaining is None or not task.speed:
        return "-:--:--"
    later: float | None = task.fields["later"]
    seconds = math.ceil(task.remaining / task.speed + (later or 0.0))
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{'+' if later is None else ''}"


class StopRequest:
    """Whether the user has asked to stop; false until then."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


class StopWhen(StopRequest):
    """A stop request that is made as soon as `condition` holds."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        super().__init__()
        self._condition = condition

    def __bool__(self) -> bool:
        return self._condition()


_somebody_is_asked = False
_open_requests: list[StopRequest] = []  # of the blocks that run now, the outermost first


@contextmanager
def waiting_for_answer() -> Iterator[None]:
    """While the block runs nothing is half done, so a request to stop is heeded at once and not after the answer."""
    global _somebody_is_asked
    before, _somebody_is_asked = _somebody_is_asked, True
    try:
        yield
    finally:
        _somebody_is_asked = before


@contextmanager
def orderly_stop() -> Iterator[StopRequest]:
    """The first SIGINT, SIGTERM or SIGHUP within the block sets the request; the second raises KeyboardInterrupt.

    Within `waiting_for_answer` the first raises it too. A request within a block is one to the blocks around it as
    well: it may come when the inner one has looked for the last time.

    SIGHUP says that the terminal is gone, and counts unless it is ignored (nohup); then nothing more is printed there.
    """
    request = StopRequest()
    request.requested = bool(_open_requests and _open_requests[-1].requested)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    terminals = [handle for handle in (1, 2) if os.isatty(handle)]

    def handle(number: int, frame: FrameType | None) -> None:
        if number == HANGUP:
            _silence(terminals)
        at_once = request.requested or _somebody_is_asked
        for one in _open_requests:
            one.requested = True
        if at_once:
            raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN:
        numbers.append(HANGUP)
    _open_requests.append(request)
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield request
    finally:
        _open_requests.remove(request)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _silence(handles: list[int]) -> None:
    """Let what is written to these handles vanish: writing to a terminal that is gone fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for handle in handles:
        os.dup2(nowhere, handle)
    os.close(nowhere)


class ServiceManager:
    """The service manager (systemd) that has started this process, and learns how it goes by the protocol of sd_notify;
    without one, nothing happens."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        is_mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        limit = environment.get("WATCHDOG_USEC", "") if is_mine else ""
        self._period = int(limit) / 2e6 if limit.isdigit() and self._address else 0.0  # seconds between signs of life
        self._last = 0.0
        self._status = ""

    def send(self, *lines: str) -> None:
        """Send states such as READY=1."""
        if self._address:
            import socket

            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.sendto("\n".join(lines).encode(), self._address)

    def status(self, text: str) -> None:
        """What is going on, where that is new."""
        if text != self._status:
            self._status = text
            self.send(f"STATUS={text}")

    def show_life(self) -> None:
        """A sign of life, where one is asked for and due."""
        if self._period and time.monotonic() >= self._last + self._period / 2:
            self._last = time.monotonic()
            self.send("WATCHDOG=1")

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Signs of life while a run takes its time: each of its files has a limit of its own (--timeout)."""
        if not self._period:
            yield
            return
        over = threading.Event()

        def ping() -> None:
            while not over.wait(self._period / 2):
                self.send("WATCHDOG=1")

        thread = threading.Thread(target=ping, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
