"""Progress is for terminals."""

import pytest

from music_reclass.utils.progress import progress_bar


def test_without_a_terminal_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading", 3) as bar:
        bar.advance(2, "a.mp3")
        bar.advance()
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_the_bar_shows_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    from io import StringIO

    from rich.console import Console

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    screen = StringIO()
    with progress_bar("reading", 3, Console(file=screen, force_terminal=True, width=100)) as bar:
        bar.advance(2, "a.mp3")
    assert "2/3" in screen.getvalue()
    assert "a.mp3" in screen.getvalue()
