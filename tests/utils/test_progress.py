"""Progress is for terminals."""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from music_reclass.utils.progress import ServiceManager, _time_left, progress_bar


def test_without_a_terminal_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading", 3) as bar:
        bar.advance(2, "a.mp3")
        bar.advance()
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_the_bar_shows_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    screen = StringIO()
    with progress_bar("reading", 3, Console(file=screen, force_terminal=True, width=100)) as bar:
        bar.advance(2, "a.mp3")
    assert "2/3" in screen.getvalue()
    assert "a.mp3" in screen.getvalue()


def test_a_line_with_all_its_columns_fits_into_80_and_the_note_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    screen, now = StringIO(), [0.0]
    console = Console(file=screen, force_terminal=True, width=80, get_time=lambda: now[0])
    with progress_bar("efficientat-mn10", None, console) as bar:
        bar.foresee(500_000, None)
        bar.advance(1)
        now[0] += 100.0
        bar.advance(123_455, "a rather long name of a file.mp3", "disk")
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()))
    assert max(map(len, lines)) <= 80
    shown = max(lines, key=lambda line: "123456/500000" in line)
    assert re.search(r"^efficientat- .* 123456/500000 1,234.5/s 0:05:06\+ disk-bound a rath", shown)


@pytest.mark.parametrize(
    ("remaining", "speed", "later", "shown"),
    [
        (100, 2.0, 0.0, "0:00:50"),
        (100, 2.0, 36_000.0, "10:00:50"),
        (100, 2.0, None, "0:00:50+"),
        (0, 2.0, None, "0:00:00+"),
        (100, None, 60.0, "-:--:--"),
        (None, 2.0, 0.0, "-:--:--"),
    ],
)
def test_the_time_left_is_that_of_all_phases_to_come(
    remaining: int | None, speed: float | None, later: float | None, shown: str
) -> None:
    task = SimpleNamespace(remaining=remaining, speed=speed, fields={"later": later})
    assert _time_left(task) == shown  # type: ignore[arg-type]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def test_a_service_manager_learns_how_it_goes(systemd: socket.socket, tmp_path: Path) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    manager.send("READY=1")
    for _ in range(3):
        manager.status("watching 1 folder")
    manager.send("STOPPING=1")
    assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"STATUS=watching 1 folder", b"STOPPING=1"]


def test_a_service_manager_with_a_watchdog_gets_signs_of_life_during_a_run_too(
    systemd: socket.socket, tmp_path: Path
) -> None:
    watchdog = {"WATCHDOG_USEC": "400000", "WATCHDOG_PID": str(os.getpid())}
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), **watchdog})
    for _ in range(100):
        manager.show_life()  # not more often than asked for
    manager.send("READY=1")
    assert [systemd.recv(100), systemd.recv(100)] == [b"WATCHDOG=1", b"READY=1"]
    with manager.kept_alive():
        assert systemd.recv(100) == systemd.recv(100) == b"WATCHDOG=1"


def test_a_watchdog_of_another_process_gets_none(systemd: socket.socket, tmp_path: Path) -> None:
    watchdog = {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), **watchdog})
    with manager.kept_alive():
        manager.show_life()
        time.sleep(0.005)
        manager.send("READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_an_abstract_address_is_understood_and_one_that_is_gone_does_no_harm() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"reclass-test-{os.getpid()}"
        listening.bind("\0" + name)
        ServiceManager({"NOTIFY_SOCKET": "@" + name}).send("READY=1")
        assert listening.recv(100) == b"READY=1"
    ServiceManager({"NOTIFY_SOCKET": "@" + name}).send("READY=1")
    ServiceManager({}).send("READY=1")


def test_a_program_gets_progress_as_lines(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RECLASS_PROGRESS", "json")
    with progress_bar("reading", 3) as bar:
        for number in range(3):
            bar.advance(1, f"{number}.mp3")
    found = [json.loads(line)["progress"] for line in capfd.readouterr().err.splitlines()]
    assert found[0] == {"phase": "reading", "done": 0, "total": 3, "note": "", "limit": ""}
    assert (found[-1]["done"], found[-1]["note"]) == (3, "2.mp3")
