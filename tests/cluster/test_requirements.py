"""A node takes part only with the same versions, weights and feature kinds; folders have names by node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from music_reclass.cluster.node import Facts, Sample
from music_reclass.cluster.requirements import (
    ALL,
    BYTES,
    OTHERS,
    PATHS,
    check_names,
    lack,
    map_of,
    names_node,
    node_pairs,
    refusal,
    view,
    wanting,
)
from music_reclass.errors import UsageError

KEY = "fma518/1/mid30"
HERE = Facts("1.0", "CPython 3.11.7", "2.60.0", "x86_64", 2**30, {KEY: KEY}, {"mert": "ab" * 32})


def test_a_node_like_this_machine_takes_part_whatever_its_processor_is() -> None:
    assert refusal(HERE, replace(HERE, architecture="aarch64", memory=1, decode=3.0), [KEY]) == ""


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(HERE, python="CPython 3.11.8"), ("Python 3.11.8", "3.11.7")),
        (replace(HERE, python="PyPy 3.11.7"), ("PyPy 3.11.7",)),
        (replace(HERE, ray="2.60.1"), ("Ray 2.60.1", "2.60.0")),
        (replace(HERE, reclass="0.9"), ("reclass 0.9", "1.0")),
        (replace(HERE, weights={"mert": "cd" * 32}), ("other weights of mert", "cdcdcdcd", "abababab")),
        (replace(HERE, kinds={KEY: "fma518/2/mid30"}), ("fma518/2/mid30", KEY)),
        (replace(HERE, kinds={KEY: "This needs the package av."}), (f"{KEY}: This needs the package av.",)),
        (replace(HERE, kinds={}), (KEY,)),
    ],
)
def test_what_differs_is_named(other: Facts, words: tuple[str, ...]) -> None:
    why = refusal(HERE, other, [KEY])
    assert all(word in why for word in words), why


def test_weights_that_a_node_lacks_are_no_reason_but_are_sent() -> None:
    bare = replace(HERE, weights={"mert": ""})
    assert (refusal(HERE, bare, [KEY]), wanting(HERE, bare), wanting(HERE, HERE)) == ("", ["mert"], [])


def test_a_kind_that_is_lacking_leaves_a_node_the_others() -> None:
    there = replace(HERE, kinds={KEY: KEY, "mert/2/mid30": "This needs the package torch."})
    assert refusal(HERE, there, [KEY]) == ""
    assert lack(there, "mert/2/mid30") == "mert/2/mid30: This needs the package torch."
    assert lack(there, KEY) == ""


def test_a_node_gets_paths_only_where_what_it_sees_is_the_same() -> None:
    one, other = Sample("/a", 3, b"x"), Sample("/b", 4, b"y")
    assert view([one, other], [one._replace(path="/mnt/a"), None]) == PATHS
    assert view([one, other], [None, None]) == BYTES
    assert view([one, other], [one, other._replace(digest=b"z")]) == OTHERS
    assert view([one], [one._replace(size=4)]) == OTHERS
    assert view([], []) == BYTES


def test_folders_are_mapped_by_node_and_for_all() -> None:
    maps = node_pairs(["/music=/mnt/nas", "jetson:/music=/media/nas", "jetson:/more=/m", "*:/x=/y"])
    assert map_of(maps, ["jetson", "192.0.2.7"]).local("/music/a/b.mp3") == "/media/nas/a/b.mp3"
    assert map_of(maps, ["jetson"]).local("/x/1") == "/y/1"
    assert map_of(maps, ["rtx"]).local("/music/a/b.mp3") == "/mnt/nas/a/b.mp3"
    assert map_of(maps, ["rtx"]).local("/more/b.mp3") is None


def test_a_drive_letter_and_a_colon_in_a_folder_are_no_node() -> None:
    assert list(node_pairs([r"D:\music=/mnt/d", "/a:b/c=/d", "/e=/f:g"])) == [ALL]
    assert [names_node(pair) for pair in ("/a=/b", "jetson:/a=/b", "*:/a=/b")] == [False, True, True]


def test_a_map_for_a_node_that_is_not_there_is_refused() -> None:
    maps = node_pairs(["jetsn:/music=/m"])
    with pytest.raises(UsageError, match="'jetsn'; the cluster has jetson, rtx"):
        check_names(maps, ["rtx", "jetson", "jetson"])
    check_names(maps, ["jetsn"])


def test_a_map_that_is_no_pair_is_refused() -> None:
    with pytest.raises(UsageError, match="SERVER=LOCAL"):
        node_pairs(["jetson:/music"])
