"""What a library has taught is kept beside its database, whole or not at all, until it is forgotten."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from music_reclass.classification import learned
from music_reclass.classification.learned import Learned
from music_reclass.classification.tag_prior import TagPrior
from music_reclass.errors import BundleError, ReclassError
from music_reclass.models.bundle import Bundle
from tests.taught import foreign_bundle


@pytest.fixture(scope="module")
def first() -> Bundle:
    return foreign_bundle(("Jazz", "Rock"))


@pytest.fixture(scope="module")
def second() -> Bundle:
    return foreign_bundle(("Jazz", "Pop"))


def test_what_was_learned_comes_back_and_can_be_forgotten(tmp_path: Path, first: Bundle) -> None:
    database = tmp_path / "library.sqlite3"
    assert learned.stored(database) is None
    assert not learned.forget(database)
    prior = TagPrior(("Jazz", "Rock"), (0.5, 0.5), 0.4, 1.0)
    learned.store(database, Learned((first,), prior, {"tracks": 9}))
    found = learned.stored(database)
    assert found is not None
    assert [bundle.digest for bundle in found.bundles] == [first.digest]
    assert found.prior == prior
    assert found.summary == {"tracks": 9}
    assert learned.stored(tmp_path / "another.sqlite3") is None
    assert learned.forget(database)
    assert learned.stored(database) is None
    assert not learned.folder_of(database).exists()


def test_whatever_interrupts_it_the_old_state_is_whole(tmp_path: Path, first: Bundle, second: Bundle) -> None:
    database = tmp_path / "library.sqlite3"
    learned.store(database, Learned((first,)))
    replace, calls = os.replace, 0
    for limit in range(10):
        calls = 0

        def killed(source: str, target: str, limit: int = limit) -> None:
            nonlocal calls
            calls += 1
            if calls > limit:
                raise KeyboardInterrupt
            replace(source, target)

        with patch("os.replace", killed):
            try:
                learned.store(database, Learned((second,)))
                break
            except KeyboardInterrupt:
                found = learned.stored(database)
                assert found is not None
                assert found.bundles[0].digest == first.digest
    assert limit > 2
    found = learned.stored(database)
    assert found is not None
    assert found.bundles[0].digest == second.digest
    folders = [path for path in learned.folder_of(database).iterdir() if path.is_dir()]
    assert [folder.name for folder in folders] == [second.digest[:16]]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "folder": "../..", "summary": {}}', "\xff"])
def test_what_cannot_be_read_is_refused_with_the_way_back(tmp_path: Path, first: Bundle, text: str) -> None:
    database = tmp_path / "library.sqlite3"
    learned.store(database, Learned((first,)))
    (learned.folder_of(database) / learned.LIST).write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match="reclass learn --forget"):
        learned.stored(database)
    assert learned.forget(database)
    assert learned.stored(database) is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, first: Bundle) -> None:
    (tmp_path / "library.learned").write_text("in the way")
    with pytest.raises(ReclassError, match="cannot be written"):
        learned.store(tmp_path / "library.sqlite3", Learned((first,)))


def test_a_prior_alone_can_be_learned_and_takes_the_place_of_bundles(tmp_path: Path, first: Bundle) -> None:
    database = tmp_path / "library.sqlite3"
    prior = TagPrior(("Jazz", "Rock"), (0.5, 0.5), 0.4, 1.0)
    learned.store(database, Learned((first,)))
    learned.store(database, Learned((), prior))
    found = learned.stored(database)
    assert found is not None
    assert found.bundles == ()
    assert found.prior == prior
    assert not [path for path in learned.folder_of(database).iterdir() if path.is_dir()]
