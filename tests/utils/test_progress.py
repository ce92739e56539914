"""Progress is for terminals."""

import re
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from music_reclass.utils.progress import _time_left, progress_bar


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
