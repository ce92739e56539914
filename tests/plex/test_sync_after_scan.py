"""The chains behind `scan --plex` and `scan --sync-plex`."""

from pathlib import Path

import pytest

from music_reclass.config import Secret, Settings
from music_reclass.errors import NothingToDo
from music_reclass.features.journal import Journal
from music_reclass.plex.sync import files_of_library, sync_written
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.plex.bench import Bench, connected, decide, no_bar


@pytest.fixture
def settings(fake: FakePlex, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("music_reclass.plex.sync.connect", lambda settings: connected(fake))
    return Settings(plex_url=fake.url, plex_token=Secret(TOKEN), plex_rate=0)


@pytest.fixture
def music(tmp_path: Path, fake: FakePlex) -> Path:
    folder = tmp_path / "music"
    fake.locations = [str(folder)]
    for thing in fake.album("Ada", "Blue", 3, root=str(folder)):
        Path(thing.files[0]).parent.mkdir(parents=True, exist_ok=True)
        Path(thing.files[0]).write_bytes(b"sound")
    return folder


def test_a_scan_can_be_limited_to_what_plex_holds(bench: Bench, settings: Settings, music: Path) -> None:
    (music / "not in plex.mp3").write_bytes(b"x")
    files = files_of_library(settings, "Music", bench.database, bench.journal, bar=no_bar)
    assert [Path(path).name for path in files] == [f"{n:02} Tune {n}.mp3" for n in (1, 2, 3)]
    known = bench.journal.known_server("machine-1")
    assert known is not None
    assert dict(known.mapping) == {str(music): str(music)}


def test_a_library_with_no_file_here_is_told(bench: Bench, settings: Settings, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 3)
    with pytest.raises(NothingToDo, match="--map"):
        files_of_library(settings, "", bench.database, bench.journal, bar=no_bar)


def test_after_a_scan_the_server_looks_and_then_gets_the_genres(
    bench: Bench, settings: Settings, fake: FakePlex, music: Path
) -> None:
    one, two, three = fake.tracks()
    new = fake.things.pop(three.key)
    fake.on_refresh = lambda path: fake.things.update({new.key: new})
    fake.refreshing_polls = 2
    paths = [thing.files[0] for thing in (one, two, three)]
    decide(bench.database, [(path, "Jazz") for path in paths])
    journal = Journal(bench.database)
    done = sync_written(
        settings, "", bench.database, journal, bench.journal, bench.taxonomy, [paths[1], paths[2]], bar=no_bar
    )
    assert fake.refreshed == [str(music / "Ada" / "Blue")]
    assert (done.folders, done.outcome.written, done.warning) == (1, 2, "")
    assert [thing.genres for thing in (one, two, three)] == [[], ["Jazz"], ["Jazz"]]
    assert journal.command_of(done.run or 0) == "plex sync"
    again = sync_written(settings, "", bench.database, journal, bench.journal, bench.taxonomy, paths[1:], bar=no_bar)
    assert (again.run, again.outcome.written) == (None, 0)
