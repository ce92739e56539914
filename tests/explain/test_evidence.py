"""What tags speak for: only what stands out, instruments first, in genres that exist."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from music_reclass.explain.evidence import SORTS, evidence, rules
from music_reclass.extractors.musicnn import TAGS
from music_reclass.taxonomy import load

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TAXONOMY = load()
GTZAN = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


@pytest.mark.parametrize("rule", rules().rules, ids=lambda rule: rule.name)
def test_every_rule_names_genres_that_exist_and_a_reason(rule):
    assert rule.genres
    assert [TAXONOMY.canonical(genre) for genre in rule.genres] == list(rule.genres)
    assert len(set(rule.genres)) == len(rule.genres)
    assert rule.sort in SORTS
    assert 3 < len(rule.reason) < 100
    assert not rule.reason.endswith(".")


def test_no_tag_has_two_rules_and_no_rule_two_names():
    table = rules()
    assert len(table.by_tag) == sum(len(rule.tags) for rule in table.rules)
    assert len({rule.name for rule in table.rules}) == len(table.rules)
    assert not table.by_tag.keys() & table.silent


def test_every_tag_of_musicnn_speaks_or_is_known_to_say_nothing():
    table = rules()
    assert set(TAGS) <= table.by_tag.keys() | table.silent
    assert set(TAGS) == table.levels.keys()
    assert all(0 < middle < upper < 1 for middle, upper in table.levels.values())


def test_every_music_class_of_audioset_speaks_or_is_known_to_say_nothing():
    listing = DATA / "taxonomy" / "audioset_class_labels_indices.csv"
    if not listing.is_file():
        pytest.skip("needs ../shared/data/taxonomy/audioset_class_labels_indices.csv")
    names = [row["display_name"] for row in csv.DictReader(listing.open(encoding="utf-8"))]
    music = {*names[0:4], *names[27:37], *names[137:283]}
    table = rules()
    assert music <= table.by_tag.keys() | table.silent
    known = {tag for tag in (*table.by_tag, *table.silent) if "---" not in tag}
    assert known <= set(names)


def test_the_ten_genres_of_the_gtzan_classifier_speak():
    assert {tag for tag in rules().by_tag if tag.startswith("gtzan---")} == {f"gtzan---{name}" for name in GTZAN}


def test_only_a_tag_that_stands_out_is_evidence():
    middle, upper = rules().levels["instrument---piano"]
    assert evidence({"instrument---piano": upper - 0.001}, TAXONOMY) == ()
    (found,) = evidence({"instrument---piano": upper}, TAXONOMY)
    assert found.genres == ("Classical", "Jazz", "Ragtime", "New Age")
    assert (found.strength, found.bar, found.typical) == (upper, upper, middle)


def test_what_is_rare_but_faint_is_no_evidence():
    _, upper = rules().levels["instrument---violin"]
    assert upper < 0.04
    assert evidence({"instrument---violin": 0.04}, TAXONOMY) == ()
    assert evidence({"instrument---violin": 0.05}, TAXONOMY) != ()


def test_a_tagger_that_was_never_measured_needs_a_cautious_strength():
    assert evidence({"Banjo": 0.09}, TAXONOMY) == ()
    (found,) = evidence({"Banjo": 0.4}, TAXONOMY)
    assert found.typical is None
    assert found.line.startswith("banjo (0.40) speaks for Bluegrass, Country, Old-Time, Folk and Dixieland: ")
    assert evidence({"gtzan---jazz": 0.4}, TAXONOMY) == ()


def test_instruments_come_before_words_and_the_most_outstanding_first():
    found = evidence(
        {"genre---classical": 0.9, "instrument---piano": 0.4, "instrument---violin": 0.3, "mood/theme---film": 0.3},
        TAXONOMY,
    )
    assert [own.sort for own in found] == ["instrument", "instrument", "genre", "mood"]
    assert [own.name for own in found[:2]] == ["violin or fiddle", "piano"]


def test_two_taggers_that_hear_the_same_are_one_line():
    found = evidence({"instrument---violin": 0.06, "Violin, fiddle": 0.9}, TAXONOMY)
    assert [own.tag for own in found] == ["Violin, fiddle"]


def test_silent_and_unknown_tags_say_nothing():
    assert evidence({"instrument---drums": 0.99, "Dog": 0.99, "Music": 1.0}, TAXONOMY) == ()


def test_genres_are_in_the_words_of_the_user(tmp_path):
    (tmp_path / "own.toml").write_text('[drop]\nvalues = ["Bluegrass"]\n[output]\n"Folk" = "Songs of Old"\n')
    (found,) = evidence({"instrument---violin": 0.5}, load(tmp_path / "own.toml"))
    assert found.genres == ("Classical", "Country", "Songs of Old")
    assert found.speaks_for("Indie Folk", load(tmp_path / "own.toml"))


def test_evidence_speaks_for_what_lies_above_and_below_its_genres():
    (found,) = evidence({"Harpsichord": 0.9}, TAXONOMY)
    assert found.genres == ("Classical", "Baroque")
    assert found.speaks_for("Baroque", TAXONOMY)
    assert found.speaks_for("Symphony", TAXONOMY)
    assert not found.speaks_for("Rock", TAXONOMY)
    assert not found.speaks_for("no such genre", TAXONOMY)


def test_golden_recordings_show_the_instruments_that_play():
    if not (DATA / "golden" / "musicnn.npz").is_file():
        pytest.skip("needs ../shared/data/golden/musicnn.npz")
    golden = np.load(DATA / "golden" / "musicnn.npz")
    heard = dict(zip(golden["names"], golden["tags"], strict=True))
    dance = evidence(dict(zip(TAGS, heard["golden/hungarian_dance.flac"].tolist(), strict=True)), TAXONOMY)
    ragtime = evidence(dict(zip(TAGS, heard["golden/pistachio_ragtime.flac"].tolist(), strict=True)), TAXONOMY)
    assert {"violin or fiddle", "orchestra"} <= {own.name for own in dance}
    assert ragtime[0].name == "piano"
