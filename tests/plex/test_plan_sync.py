"""From a library on the server to rows."""

from pathlib import Path
from typing import Any

import pytest

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.plex.paths import PathMap
from music_reclass.plex.plan import AUTO_LEVEL, levels_for
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import LOCAL, SERVER, Bench, connected, decide, local


def counts(bench: Bench, **request: Any) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for row in bench.rows(**request):
        found[row.action, row.reason] = found.get((row.action, row.reason), 0) + 1
    return found


def test_every_track_gets_one_row_with_its_reason(bench: Bench, fake: FakePlex) -> None:
    tracks = fake.album("Ada", "Blue", 8)
    tracks[1].tags["genre"] = ["Folk"]
    tracks[1].locked.add("genre")
    tracks[2].tags["genre"] = ["Jazz"]
    tracks[3].files = ["/outside/x.mp3"]
    tracks[4].files = [f"{SERVER}/Ada/Blue/never scanned.mp3"]
    paths = [local(thing.files[0]) for thing in tracks]
    decide(bench.database, [(path, "Jazz") for path in (*paths[:3], *paths[7:])])
    decide(bench.database, [(paths[5], None)])
    decide(bench.database, [(paths[6], [])], outcome="unsure")
    assert counts(bench, allow_partial=True) == {
        ("set", "fill"): 2, ("skip", "locked-by-user"): 1, ("noop", "the genre that is there agrees"): 1,
        ("skip", "unmapped"): 1, ("skip", "unscanned"): 1, ("skip", "undecided"): 1, ("skip", "unsure"): 1,
    }  # fmt: skip


def test_a_thousand_tracks_are_compared_in_45_requests(bench: Bench, fake: FakePlex) -> None:
    for n in range(100):
        fake.album(f"Artist {n}", "Album", 10, genres=["Other"])
    bench.decide_all("Jazz")
    assert counts(bench) == {("set", "junk"): 1000}
    assert len(fake.requests) <= 45
    assert fake.puts == fake.unbounded == 0


def test_tracks_nobody_is_sure_of_are_not_even_read(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 300)
    bench.decide_all([], outcome="unsure")
    assert counts(bench) == {("skip", "unsure"): 300}
    assert not any(request.path.startswith("/library/metadata") for request in fake.requests)


def test_a_map_that_fits_badly_stops_unless_allowed(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 10)
    fake.album("Bob", "Red", 10)
    decide(bench.database, [(local(thing.files[0]), "Jazz") for thing in fake.tracks()[:10]])
    decide(bench.database, [(f"{LOCAL}/Eve/Green/{n:02} x.mp3", "Jazz") for n in range(10)])
    with pytest.raises(UsageError, match=r"Only 10 of 20 tracks.*plex map.*--allow-partial"):
        bench.rows()
    assert counts(bench, allow_partial=True)["set", "fill"] == 10


def test_one_scanned_folder_of_a_large_library_is_enough(bench: Bench, fake: FakePlex) -> None:
    for name in "abcdef":
        fake.album(name, "Album", 10)
    decide(bench.database, [(local(thing.files[0]), "Jazz") for thing in fake.tracks()[:10]])
    assert counts(bench) == {("set", "fill"): 10, ("skip", "unscanned"): 50}


def test_given_folders_beat_stored_ones(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 3)
    bench.decide_all("Jazz")
    known = bench.journal.server(fake.machine, "Fake")
    bench.journal.remember_mapping(known.id, {SERVER: "/wrong"})
    with pytest.raises(UsageError, match="--map"):
        bench.rows()
    assert counts(bench, given=PathMap(((SERVER, LOCAL),))) == {("set", "fill"): 3}


def test_only_the_files_asked_for_are_compared(bench: Bench, fake: FakePlex) -> None:
    tracks = fake.album("Ada", "Blue", 5) + fake.album("Bob", "Red", 5)
    bench.decide_all("Jazz")
    only = frozenset({local(tracks[1].files[0])})
    assert counts(bench, only=only) == {("set", "fill"): 1}
    assert counts(bench, only=only, level="album") == {("set", "fill"): 1}


def test_auto_falls_back_to_albums_and_track_refuses_where_tracks_have_no_genre(fake: FakePlex) -> None:
    server = connected(fake)
    section = server.music()
    assert levels_for(server, section, AUTO_LEVEL) == (("album", "track"), "")
    assert levels_for(server, section, "track") == (("track",), "")
    fake.track_genres = False
    levels, warning = levels_for(server, section, AUTO_LEVEL)
    assert levels == ("album",)
    assert "only albums are written" in warning
    assert levels_for(server, section, "artist") == (("artist",), "")
    with pytest.raises(UsageError, match="--level album"):
        levels_for(server, section, "track")


def test_albums_get_the_consensus_and_its_styles(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 5)
    fake.album("Various Artists", "Hits", 5)
    fake.album("Eve", "Gone", 2)[0].files = fake.tracks()[-1].files = ["/outside/1.mp3"]
    decide(bench.database, [(local(t.files[0]), "Shoegaze") for t in fake.tracks()[:10]])
    rows = bench.rows(level="album", allow_partial=True)
    assert [(row.title, row.action, row.reason) for row in rows if row.action == "skip"] == [
        ("Various Artists - Hits", "skip", "various-artists"), ("Eve - Gone", "skip", "unmapped"),
    ]  # fmt: skip
    (row,) = (row for row in rows if row.edit is not None)
    assert row.edit is not None
    assert {one.field: one.after for one in row.edit.fields} == {"genre": ("Rock",), "style": ("Shoegaze",)}


def test_artists_are_written_only_when_asked_for(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 5)
    bench.decide_all("Jazz")
    (row,) = bench.rows(level="artist")
    assert (row.level, row.title, row.after) == ("artist", "Ada", ("Jazz",))


def test_a_track_that_goes_while_we_look_is_skipped(bench: Bench, fake: FakePlex) -> None:
    gone, *_ = fake.album("Ada", "Blue", 3)
    bench.decide_all("Jazz")
    answer = fake._metadata
    fake._metadata = lambda keys: (fake.things.pop(gone.key, None), answer(keys))[1]  # type: ignore[method-assign]
    assert counts(bench) == {("set", "fill"): 2, ("skip", "gone"): 1}


def test_windows_servers_decomposed_names_and_several_parts(bench: Bench, fake: FakePlex) -> None:
    fake.locations = ["D:\\Musik"]
    one, two, three = fake.album("Ada", "Blue", 3)
    one.files = ["D:\\Musik\\Ada\\Blue\\01 Tune 1.mp3", "D:\\Musik\\Ada\\Blue\\01 Tune 1 (copy).mp3"]
    two.files = ["d:\\musik\\ada\\blue\\02 tune 2.MP3"]
    three.files = ["D:\\Musik\\Ada\\Blue\\03 Cafe\u0301.mp3"]
    here = [f"{LOCAL}/Ada/Blue/{name}.mp3" for name in ("01 Tune 1", "02 Tune 2", "03 Caf\u00e9")]
    decide(bench.database, [(path, "Jazz") for path in here])
    assert counts(bench) == {("set", "fill"): 3}


def test_an_empty_side_is_named(bench: Bench, fake: FakePlex) -> None:
    with pytest.raises(NothingToDo, match="holds no tracks"):
        bench.rows()
    fake.album("Ada", "Blue", 1)
    with pytest.raises(NothingToDo, match="scan a folder first"):
        bench.rows()


def test_a_server_on_this_machine_needs_no_known_files(tmp_path: Path, bench: Bench, fake: FakePlex) -> None:
    folder = tmp_path / "music"
    things = fake.album("Ada", "Blue", 3, root=str(folder))
    (folder / "Ada" / "Blue").mkdir(parents=True)
    for thing in things:
        Path(thing.files[0]).touch()
    fake.locations = [str(folder)]
    assert bench.target().infer_map().pairs == ((str(folder), str(folder)),)


def test_albums_and_tracks_are_planned_in_one_run(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 5)
    bench.decide_all("Shoegaze")
    rows = bench.rows("auto")
    assert [(row.level, row.after) for row in rows] == [("album", ("Rock",))] + [("track", ("Rock",))] * 5
    _, outcome = bench.sync(level="auto")
    assert outcome.written == 6
    assert not [row for row in bench.rows("auto") if row.edit]


def test_nothing_is_written_or_locked_beside_the_genre_that_an_agent_gave_an_album(
    bench: Bench, fake: FakePlex
) -> None:
    agents, junk, ours = (fake.album(name, "Blue", 3)[0].parent for name in ("Ada", "Bob", "Cid"))
    fake.things[agents].tags["genre"], fake.things[junk].tags["genre"] = ["Folk"], ["Other"]
    bench.decide_all("Shoegaze")
    assert {row.key: row.action for row in bench.rows("album")} == {agents: "noop", junk: "set", ours: "set"}
    bench.sync(level="album")
    assert (fake.things[agents].tags, fake.things[agents].locked) == ({"genre": ["Folk"]}, set())
    bench.database.connection.execute("""UPDATE decision SET genres = '["Bebop"]'""")
    bench.sync(level="album")
    assert [fake.things[key].tags for key in (agents, junk, ours)] == [
        {"genre": ["Folk"]}, {"genre": ["Jazz"], "style": ["Bebop"]}, {"genre": ["Jazz"], "style": ["Bebop"]},
    ]  # fmt: skip
    assert {row.key: row.after for row in bench.rows("album", mode="auto")}[agents] == ("Folk", "Jazz")


@pytest.mark.parametrize(
    ("there", "decided", "written"),
    [
        (["R&B"], "Soul-RnB", "R&B"),
        (["HIP-HOP", "Rap/Hip-Hop"], "Hip-Hop", "HIP-HOP"),
        (["Funk, Soul", "Rhythm And Blues"], "Soul-RnB", "Rhythm And Blues"),
        (["Electronica"], "Electronic", "Electronica"),
        (["Electronica", "Electronic"], "Electronic", "Electronic"),
        (["Rock"], "Jazz", "Jazz"),
        (["World"], "International", "World"),
        (["Ethnic", "World"], "International", "International"),
    ],
)
def test_genres_are_written_as_the_library_spells_them(
    bench: Bench, fake: FakePlex, there: list[str], decided: str, written: str
) -> None:
    (outside,) = fake.album("Eve", "Green", 1, root="/outside")
    fake.things[outside.parent].tags["genre"] = there
    tracks = fake.album("Ada", "Blue", 3)
    decide(bench.database, [(local(thing.files[0]), decided) for thing in tracks])
    rows = [row for row in bench.rows("auto", allow_partial=True) if row.edit]
    assert [row.after for row in rows] == [(written,)] * 4


def test_a_server_without_a_list_of_its_genres_gets_ours(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 1)
    bench.decide_all("Soul-RnB")
    fake._names = lambda field, query: (404, "")  # type: ignore[method-assign]
    assert [row.after for row in bench.rows()] == [("Soul-RnB",)]


def test_an_album_whose_tracks_have_other_artists_is_a_compilation(bench: Bench, fake: FakePlex) -> None:
    for artist, guests in (("DJ Ada", ["Bob", "Cid", "Dan"]), ("Eve", ["Eve feat. Bob", "Eve & Cid", "Eve, Dan"])):
        for thing, guest in zip(fake.album(artist, "Blue", 3), guests, strict=True):
            thing.artist = guest
    bench.decide_all("Jazz")
    assert [(row.title, row.reason) for row in bench.rows("album")] == [
        ("DJ Ada - Blue", "various-artists"), ("Eve - Blue", "fill"),
    ]  # fmt: skip


def test_albums_and_tracks_get_one_word_and_a_second_sync_keeps_it(bench: Bench, fake: FakePlex) -> None:
    tracks = fake.album("Ada", "Blue", 4)
    fake.album("Bo", "Red", 2, genres=["R&B"])  # a word that tracks alone have
    bench.decide_all("Soul-RnB")
    bench.sync(level="auto")
    assert {genre for thing in fake.things.values() for genre in thing.genres} == {"R&B"}
    assert fake.things[tracks[0].parent].genres == ["R&B"]
    assert not any(row.edit for row in bench.rows("auto"))
