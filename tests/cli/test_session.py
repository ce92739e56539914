"""The frame of commands: who holds the lease, what is opened, and that all of it is closed."""

from pathlib import Path

import pytest

from music_reclass.cli.session import reading, writing
from music_reclass.config import Settings
from music_reclass.errors import DatabaseError, NothingToDo
from music_reclass.features.database import Database
from tests.library import Shell


def test_reading_takes_no_lease_and_writing_takes_it(tmp_path: Path) -> None:
    settings = Settings(db=tmp_path / "library.sqlite3")
    with writing(settings, "scan"):
        with reading(settings) as library:
            assert library.schema > 0
        with pytest.raises(DatabaseError, match="reclass scan"), writing(settings, "undo"):
            pass
    with writing(settings, "undo"):
        pass


def test_a_library_that_is_not_there_is_said_before_one_is_made(tmp_path: Path) -> None:
    settings = Settings(db=tmp_path / "library.sqlite3")
    with pytest.raises(NothingToDo, match="There is no library"), reading(settings):
        pass
    with pytest.raises(NothingToDo, match="There is no library"), writing(settings, "undo", must_exist=True):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["scan", "{music}", "--dry-run"], ["explain", "{song}"], ["doctor"], ["status"], ["report"], ["export"],
        ["history"], ["genres", "audit"], ["models", "list"], ["calibrate"], ["relabel", "--dry-run"],
        ["undo", "--dry-run"], ["apply", "--dry-run"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_every_command_closes_what_it_opens_and_opens_two_connections_at_most(
    words: list[str], scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = next((scanned / "Grid Nine").rglob("*.*"))
    shell("scan", scanned / "Grid Nine", "--yes")
    open_now: list[Database] = []
    most = [0]
    opened, closed = Database._open, Database.close

    def opening(self: Database, *arguments: object, **named: object) -> object:
        open_now.append(self)
        most[0] = max(most[0], len(open_now))
        return opened(self, *arguments, **named)  # type: ignore[arg-type]

    def closing(self: Database) -> None:
        open_now.remove(self)
        closed(self)

    monkeypatch.setattr(Database, "_open", opening)
    monkeypatch.setattr(Database, "close", closing)
    shell(*(word.format(music=scanned / "Grid Nine", song=song) for word in words))
    assert open_now == []
    assert 1 <= most[0] <= 2
