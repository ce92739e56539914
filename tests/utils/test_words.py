"""Numbers and their nouns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import music_reclass
from music_reclass.utils.words import columns, counted, ellipsis, verb


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [
        (0, "track", "0 tracks"),
        (1, "track", "1 track"),
        (1, "library", "1 library"),
        (2, "library", "2 libraries"),
        (2, "day", "2 days"),
        (1000, "more folder", "1,000 more folders"),
    ],
)
def test_a_noun_stands_in_the_number_of_its_count(count: int, noun: str, words: str) -> None:
    assert counted(count, noun) == words


def test_a_verb_goes_with_the_count() -> None:
    assert [verb(count, "has", "have") for count in (0, 1, 2)] == ["have", "has", "have"]


@pytest.mark.parametrize(
    ("text", "wide", "shown"),
    [
        ("short", 5, "short"),
        ("a long name_1.flac", 12, "a long…flac"),
        ("a long name_2.flac", 15, "a long na….flac"),
        ("椎名林檎椎名林檎", 9, "椎名林…檎"),
        ("椎名林檎", 8, "椎名林檎"),
        ("e\u0301" * 4, 4, "e\u0301" * 4),
    ],
)
def test_a_long_text_is_cut_in_its_middle_to_the_width(text: str, wide: int, shown: str) -> None:
    assert ellipsis(text, wide) == shown
    assert columns(shown) <= wide


# A count in a message to users whose noun is always plural; those that can be 1 use `counted`.
_PLURAL = re.compile(
    r"\{[^{}]*(?:len\(|count|listed|absent|unknown|gone|ours|unusable|nameless)[^{}]*\} (tracks|files|albums|artists)\b"
)
# A total of a sentence such as "3 of 1 files": a part of that many, named by its kind.
_OF = re.compile(r" of (?:the |all )?\{[^{}]*\} (?:tracks|files|artists)")


def test_no_message_says_1_tracks() -> None:
    root = Path(music_reclass.__file__).parent
    wrong = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in root.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if _PLURAL.search(_OF.sub("", line))
    ]
    assert not wrong, "\n".join(wrong)
