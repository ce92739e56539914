"""Certificates made on a library are found by the bundle they are for, and can be dropped."""

from pathlib import Path

import pytest

from music_reclass.features.database import Database
from music_reclass.features.results import ExitAudits, LibraryExits


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "l.sqlite3")


def stated(threshold: float, *against: str) -> dict[str, object]:
    return {"threshold": threshold, "against": list(against)}


def test_a_certificate_is_found_by_its_bundle(database: Database) -> None:
    LibraryExits(database).save({"a": stated(0.9, "b", "c"), "b": stated(0.8, "c")})

    assert LibraryExits(database).of(["a", "c"]) == {"a": [stated(0.9, "b", "c")]}


def test_a_new_certificate_for_the_same_cascade_takes_the_place_of_the_old_one(database: Database) -> None:
    exits = LibraryExits(database)
    exits.save({"a": stated(0.9, "b")})
    exits.save({"a": stated(0.7, "b")})
    exits.save({"a": stated(0.6, "other")})

    assert sorted(item["threshold"] for item in exits.of(["a"])["a"]) == [0.6, 0.7]
    assert set(exits.dates()) == {("a", ("b",)), ("a", ("other",))}


def test_what_is_forgotten_is_gone(database: Database) -> None:
    exits = LibraryExits(database)
    exits.save({"a": stated(0.9, "b"), "b": stated(0.8)})

    assert exits.forget() == 2
    assert exits.dates() == {}
    assert exits.forget() == 0


def test_audits_come_newest_first(database: Database) -> None:
    audits = ExitAudits(database)
    audits.save({"heard": 1})
    audits.save({"heard": 2})

    assert [result for _, result in audits.last()] == [{"heard": 2}, {"heard": 1}]
    assert len(audits.last(1)) == 1
