"""`reclass learn`: three lines, one command back, and every later command uses what was learned."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification import learned
from music_reclass.cli import session
from music_reclass.models.bundle import Bundle, save
from music_reclass.models.dataset import fma518
from music_reclass.taxonomy import load
from tests.library import Shell
from tests.taught import Tagging, fill, foreign_bundle, quick_networks, tags_for
from tests.training.making import learnable

GENRES = ("Jazz", "Pop", "Metal", "Blues")
KIND = fma518("mid30")


@pytest.fixture(scope="module")
def base() -> Bundle:
    return foreign_bundle(("Rock", "Blues", "Jazz", "Pop"))


@pytest.fixture(autouse=True)
def at_hand(monkeypatch: pytest.MonkeyPatch, base: Bundle) -> None:
    """A poor model takes the place of the embedded ones, and networks learn quickly."""
    quick_networks(monkeypatch)
    monkeypatch.setattr(session, "untaught_bundles", lambda: [base])
    monkeypatch.setattr(session, "content_bundles", lambda settings: [])  # these vectors are of no music


def library(shell: Shell, how: Tagging | None = None, count: int = 240) -> None:
    """A quarter of the tracks has no tag."""
    rows, true = learnable(count, GENRES)
    order = np.argsort(true, kind="stable")
    labels = np.array([[name == genre for genre in GENRES] for name in true])[order]
    groups = np.arange(count) // 4
    tags = tags_for(labels, GENRES, groups, load(), how or Tagging(parents=0.0, wrong=0.1))
    fill(shell.db, {KIND: rows[order]}, tags, groups).close()


def genres(shell: Shell) -> Counter[str]:
    """The first genre of each decided track, after `relabel`."""
    assert shell("relabel") == 0
    assert shell("export", "--format", "jsonl") == 0
    return Counter(row["genres"][0] for row in shell.objects() if row["genres"])


def test_what_was_learned_decides_until_it_is_forgotten(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    library(shell)
    before = genres(shell)
    assert "Metal" not in before
    assert shell("learn") == 0
    assert [line.split()[0] for line in shell.out.splitlines()][:3] == ["sample", "right", "genres"]
    assert "240 tracks by 60 artists" in shell.out
    assert "new: Metal; decided as before, for want of tracks: Rock" in shell.out
    after = genres(shell)
    assert after["Metal"] > 30
    assert shell("models", "list") == 0
    assert "fma518-learned" in shell.out
    assert shell("doctor", "--json") == 0
    check = next(check for check in shell.objects() if check["check"] == "learned")
    assert "4 genres from 240 tracks" in check["detail"]
    assert "learn again" not in check["detail"]
    with monkeypatch.context() as upgraded:
        upgraded.setattr(session, "untaught_bundles", lambda: [foreign_bundle(("Rock", "Jazz"))])
        assert shell("doctor") == 0
        assert "learn again (reclass learn)" in shell.out
    assert shell("learn", "--forget", "-n") == 0
    assert genres(shell) == after
    assert shell("learn", "--forget") == 0
    assert genres(shell) == before
    assert shell("learn", "--forget", "--json") == 0
    assert shell.objects() == [{"forgotten": False, "would_forget": False}]


def test_json_has_the_figures_and_what_was_stored(shell: Shell) -> None:
    library(shell)
    assert shell("learn", "--json") == 0
    (found,) = shell.objects()
    assert found["learned"]
    assert found["tracks"] == 240
    gain = found["comparison"]["gain"]
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    stored = learned.stored(shell.db)
    assert stored is not None
    assert [stage["digest"] for stage in found["stages"]] == [bundle.digest for bundle in stored.bundles]
    assert stored.summary["comparison"] == found["comparison"]


def test_noise_changes_nothing_and_says_so(shell: Shell) -> None:
    library(shell, Tagging(noise=True))
    assert shell("learn") == 0
    assert "no better beyond chance" in shell.out
    assert "Nothing changes." in shell.out
    assert not learned.is_stored(shell.db)


def test_a_dry_run_says_what_there_is_and_stores_nothing(shell: Shell) -> None:
    library(shell)
    assert shell("learn", "-n") == 0
    assert "240 tracks by 60 artists" in shell.out
    assert shell("learn", "-n", "--json") == 0
    (found,) = shell.objects()
    assert found["dry_run"]
    assert found["to_extract"] == {}
    assert not learned.folder_of(shell.db).exists()


def test_too_few_tagged_tracks_end_with_three_and_the_number_that_is_needed(shell: Shell) -> None:
    library(shell, count=60)
    assert shell("learn") == 3
    assert "at least 200 tracks by 20 artists" in shell.err
    assert shell("learn", "/m/nowhere") == 3
    assert "Tracks here: 0" in shell.err
    assert shell("learn", "--forget", "/m") == 2


def test_a_bundle_that_is_named_wins_over_what_was_learned(shell: Shell, base: Bundle, tmp_path: Path) -> None:
    library(shell)
    assert shell("learn") == 0
    save(base, tmp_path / "named")
    assert shell("models", "list", "--bundle", tmp_path / "named") == 0
    assert "fma518-learned" not in shell.out


def test_what_was_learned_and_is_damaged_is_said_with_the_way_back(shell: Shell) -> None:
    library(shell)
    assert shell("learn") == 0
    (learned.folder_of(shell.db) / learned.LIST).write_text("{")
    assert shell("relabel") != 0
    assert "reclass learn --forget" in shell.err
    assert shell("learn", "--forget") == 0
    assert shell("relabel") == 0
