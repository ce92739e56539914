"""Which folder here is which on the server: inferred from the ends of paths."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.errors import UsageError
from music_reclass.plex.paths import PathMap, infer, parse_pair, parts_of, path_of, spread

HERE = "/home/me/Music"


def names(count: int, root: str, separator: str = "/") -> list[str]:
    return [separator.join((root, f"Artist {n % 5}", "Album", f"{n:02} Tune.mp3")) for n in range(count)]


@pytest.mark.parametrize(
    ("root", "separator"),
    [("/data/music", "/"), ("/volume1/music/all", "/"), ("D:\\Music", "\\"), ("\\\\nas\\share\\Music", "\\"),
     ("/music", "/")],
)  # fmt: skip
def test_one_pair_is_found_whatever_the_server_calls_its_folder(root: str, separator: str) -> None:
    found = infer(names(40, root, separator), [root], names(40, HERE))
    assert found.pairs == ((root, HERE),)
    assert (found.votes, found.unmatched) == ((40,), ())
    assert found.local(names(40, root, separator)[7]) == names(40, HERE)[7]
    assert found.server(names(40, HERE)[7]) == names(40, root, separator)[7]


def test_a_server_on_this_machine_maps_to_itself() -> None:
    assert infer(names(9, HERE), [HERE], names(9, HERE)).pairs == ((HERE, HERE),)


def test_without_the_folders_of_the_library_the_longest_equal_end_decides() -> None:
    assert infer(names(9, "/data/music"), [], names(9, HERE)).pairs == (("/data/music", HERE),)


def test_several_locations_become_several_pairs() -> None:
    server = names(30, "/data/a") + [path.replace("Artist", "Other") for path in names(10, "/data/b")]
    here = names(30, "/mnt/one") + [path.replace("Artist", "Other") for path in names(10, "/mnt/two")]
    found = infer(server, ["/data/a", "/data/b"], here)
    assert found.pairs == (("/data/a", "/mnt/one"), ("/data/b", "/mnt/two"))
    assert found.votes == (30, 10)


def test_a_lone_equal_file_name_proves_nothing() -> None:
    found = infer(["/data/music/X/Y/01 Intro.mp3"], ["/data/music"], ["/home/me/Q/Z/01 Intro.mp3"])
    assert found.pairs == ()
    assert found.unmatched == ("/data/music/X/Y/01 Intro.mp3",)


def test_albums_of_one_name_do_not_make_one_artist_another() -> None:
    server = [f"/data/music/{artist}/CD 1/{n:02} Track.mp3" for artist in "abcdef" for n in range(10)]
    here = [f"{HERE}/a/CD 1/{n:02} Track.mp3" for n in range(10)]
    assert infer(server, ["/data/music"], here).pairs == (("/data/music", HERE),)


def test_a_folder_is_not_sent_to_another_place_in_the_folder_it_belongs_to() -> None:
    server = names(20, "/data/music") + names(20, "/data/music/copy")
    found = infer(server, ["/data/music"], names(20, HERE))
    assert found.pairs == (("/data/music", HERE),)
    assert len(found.unmatched) == 20


def test_files_outside_the_library_stay_unmatched() -> None:
    server = [*names(20, "/data/music"), "/elsewhere/odd/thing.mp3"]
    found = infer(server, ["/data/music"], names(20, HERE))
    assert found.unmatched == ("/elsewhere/odd/thing.mp3",)
    assert found.local("/elsewhere/odd/thing.mp3") is None


def test_composed_and_decomposed_names_are_one() -> None:
    composed = [f"{HERE}/Bj\u00f6rk/Album/{n}.mp3" for n in range(5)]
    there = [unicodedata.normalize("NFD", path).replace(HERE, "/data") for path in composed]
    assert infer(there, ["/data"], composed).pairs == (("/data", HERE),)


def test_case_parts_folders_unless_the_server_is_windows() -> None:
    assert infer(["/data/A/B/1.mp3"], ["/data"], [f"{HERE}/a/b/1.mp3"]).pairs == ()
    assert infer(["D:\\A\\B\\1.mp3"], ["D:\\"], [f"{HERE}/a/b/1.mp3"]).pairs == (("D:\\", HERE),)


def test_the_longest_pair_that_fits_is_used() -> None:
    pairs = PathMap((("/data", "/mnt/all"), ("/data/new", "/mnt/new")))
    assert pairs.local("/data/new/x.mp3") == "/mnt/new/x.mp3"
    assert pairs.local("/data/newer/x.mp3") == "/mnt/all/newer/x.mp3"
    assert pairs.local("/database/x.mp3") is None


def test_what_is_given_beats_what_is_stored() -> None:
    merged = PathMap((("/data/", "/given"),)).over(PathMap((("/data", "/stored"), ("/more", "/other"))))
    assert merged.local("/data/x") == "/given/x"
    assert merged.pairs == (("/data/", "/given"), ("/more", "/other"))


def test_a_pair_is_written_with_an_equals_sign() -> None:
    assert parse_pair("D:\\Music = /home/me/a=b") == ("D:\\Music", "/home/me/a=b")
    for text in ("", "/data", "=/home", "/data="):
        with pytest.raises(UsageError, match="SERVER=LOCAL"):
            parse_pair(text)


def test_samples_are_spread_over_the_whole() -> None:
    assert spread([str(n) for n in range(10)], 5) == ["0", "2", "4", "6", "8"]
    assert spread(["a"], 5) == ["a"]


@given(st.lists(st.text(st.characters(exclude_characters="/\\\0:", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_there_and_back_again_for_any_name(parts: list[str]) -> None:
    path = path_of(("", "home", "me", *parts))
    assert parts_of(path) == ("", "home", "me", *parts)
    pairs = PathMap((("/data", "/home/me"),))
    there = pairs.server(path)
    assert there is not None
    assert pairs.local(there) == path
