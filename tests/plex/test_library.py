"""What a Plex library holds becomes known here."""

from pathlib import Path

import pytest

from music_reclass.plex.library import ImportReport
from music_reclass.plex.paths import PathMap
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import Bench


def put_files(fake: FakePlex, folder: Path) -> None:
    for thing in fake.tracks():
        path = Path(thing.files[0].replace("/data/music", str(folder)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "Music"


def imported(bench: Bench, folder: Path) -> tuple[ImportReport, list[str]]:
    report = bench.target(given=PathMap((("/data/music", str(folder)),))).import_tracks()
    return report, report.files


def test_files_that_are_here_come_in_with_tags_and_genres(bench: Bench, fake: FakePlex, folder: Path) -> None:
    fake.album("Ada", "Blue", 3, genres=["A", "B", "C"])
    put_files(fake, folder)
    fake.album("Bob", "Not here", 2)
    report, files = imported(bench, folder)
    assert (report.listed, report.new, report.known, report.not_here) == (5, 3, 0, 2)
    assert len(files) == 3
    row = bench.database.connection.execute(
        "SELECT t.title, t.artist, t.album, t.genres, t.size, p.rating_key, p.genres FROM track t"
        " JOIN plex_track p ON p.track_id = t.id ORDER BY t.path LIMIT 1"
    ).fetchone()
    key = fake.tracks()[0].key
    assert row == ("Tune 1", "Ada", "Blue", '["A", "B", "C"]', 5, key, '["A", "B", "C"]')


def test_a_second_import_changes_nothing_and_forgets_what_is_gone(bench: Bench, fake: FakePlex, folder: Path) -> None:
    fake.album("Ada", "Blue", 3)
    put_files(fake, folder)
    imported(bench, folder)
    bench.database.connection.execute("UPDATE track SET title = 'from the file'")
    del fake.things[fake.tracks()[0].key]
    report, files = imported(bench, folder)
    assert (report.new, report.known, report.gone, len(files)) == (0, 2, 1, 2)
    titles = bench.database.connection.execute("SELECT DISTINCT title FROM track").fetchall()
    assert titles == [("from the file",)]


def test_a_name_in_another_unicode_form_is_found_on_disk(bench: Bench, fake: FakePlex, folder: Path) -> None:
    (thing,) = fake.album("Ada", "Blue", 1)
    thing.files = ["/data/music/Cafe\u0301.mp3"]
    folder.mkdir()
    (folder / "Caf\u00e9.mp3").write_bytes(b"x")
    _, files = imported(bench, folder)
    assert [Path(path).name for path in files] in (["Caf\u00e9.mp3"], ["Cafe\u0301.mp3"])


def test_imported_files_are_read_by_the_next_scan(bench: Bench, fake: FakePlex, folder: Path) -> None:
    from music_reclass.domain import FeatureKind
    from music_reclass.features.results import ScanStats
    from music_reclass.features.scope import Scope
    from music_reclass.utils.files import walk

    fake.album("Ada", "Blue", 2)
    put_files(fake, folder)
    _, files = imported(bench, folder)
    scope = Scope(bench.database)
    scope.sort_found(list(walk(files)), FeatureKind("fma518", "1", 3, "mid30"), ScanStats(), False)
    assert scope.pending_count() == 2


def test_a_map_is_stored_for_the_next_time(bench: Bench, fake: FakePlex, folder: Path) -> None:
    fake.locations = [str(folder)]
    fake.album("Ada", "Blue", 3, root=str(folder))
    put_files(fake, folder)
    bench.target().store_map()
    known = bench.journal.known_server("machine-1")
    assert known is not None
    assert dict(known.mapping) == {str(folder): str(folder)}
    more = bench.target(given=PathMap((("/other", "/there"),)))
    assert dict(more.path_map.pairs) == {"/other": "/there", str(folder): str(folder)}
