"""Tags as evidence: only what stands out, instruments first, in genres that exist."""

from __future__ import annotations

import csv
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from music_reclass.explain.evidence import SORTS, evidence, tag_table
from music_reclass.extractors.efficientat import audioset_labels
from music_reclass.extractors.musicnn import TAGS
from music_reclass.taxonomy import load

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TAXONOMY = load()
TABLE = tag_table()
CONTENT = tomllib.loads(files("music_reclass").joinpath("data/evidence.toml").read_text(encoding="utf-8"))
SILENT = set(CONTENT["silent"]["tags"])
GTZAN = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


@pytest.mark.parametrize("rule", CONTENT["rule"], ids=lambda rule: rule["name"])
def test_every_rule_names_genres_that_exist_and_a_reason(rule):
    item = TABLE[rule["tags"][0]]
    assert item.genres
    assert [TAXONOMY.canonical(genre) for genre in item.genres] == list(item.genres)
    assert len(set(item.genres)) == len(item.genres)
    assert item.sort in SORTS
    assert 3 < len(item.reason) < 100
    assert not item.reason.endswith(".")


def test_no_tag_has_two_rules_and_no_rule_two_names():
    assert len(TABLE) == sum(len(rule["tags"]) for rule in CONTENT["rule"])
    assert len({rule["name"] for rule in CONTENT["rule"]}) == len(CONTENT["rule"])
    assert not TABLE.keys() & SILENT


def test_every_tag_of_musicnn_is_in_the_table_or_known_to_support_nothing():
    assert set(TAGS) <= TABLE.keys() | SILENT
    assert set(TAGS) == {tag for tag in CONTENT["levels"] if "---" in tag}
    assert all(0 < middle < upper < 1 for tag, (middle, upper) in CONTENT["levels"].items() if tag in TAGS)


def test_every_music_class_of_audioset_is_in_the_table_or_known_to_support_nothing():
    names = audioset_labels()
    music = {*names[0:4], *names[27:37], *names[137:283]}
    assert music <= TABLE.keys() | SILENT
    known = {tag for tag in (*TABLE, *SILENT) if "---" not in tag}
    assert known <= set(names)


def test_every_class_of_audioset_that_has_a_rule_was_measured():
    ruled = {tag for tag in TABLE if "---" not in tag}
    assert ruled == {tag for tag in CONTENT["levels"] if "---" not in tag}
    assert all(0 <= middle <= upper < 1 for tag, (middle, upper) in CONTENT["levels"].items() if tag in ruled)
    assert all(TABLE[tag].threshold == max(0.1, CONTENT["levels"][tag][1]) for tag in ruled)


def test_the_class_list_of_audioset_is_the_published_one():
    listing = DATA / "taxonomy" / "audioset_class_labels_indices.csv"
    if not listing.is_file():
        pytest.skip("needs ../shared/data/taxonomy/audioset_class_labels_indices.csv")
    rows = csv.DictReader(listing.open(encoding="utf-8"))
    assert audioset_labels() == tuple(row["display_name"] for row in rows)


def test_the_ten_genres_of_the_gtzan_classifier_are_in_the_table():
    assert {tag for tag in TABLE if tag.startswith("gtzan---")} == {f"gtzan---{name}" for name in GTZAN}


def test_only_a_tag_that_stands_out_is_evidence():
    middle, upper = CONTENT["levels"]["instrument---piano"]
    assert evidence({"instrument---piano": upper - 0.001}, TAXONOMY) == ()
    (found,) = evidence({"instrument---piano": upper}, TAXONOMY)
    assert found.genres == ("Classical", "Jazz", "Ragtime", "New Age")
    assert (found.strength, found.threshold, found.typical) == (upper, upper, middle)


def test_a_rare_but_faint_tag_is_no_evidence():
    _, upper = CONTENT["levels"]["instrument---violin"]
    assert upper < 0.04
    assert evidence({"instrument---violin": 0.04}, TAXONOMY) == ()
    assert evidence({"instrument---violin": 0.05}, TAXONOMY) != ()


def test_a_tag_of_audioset_needs_a_tenth_and_has_a_typical_strength():
    assert evidence({"Banjo": 0.09}, TAXONOMY) == ()
    (found,) = evidence({"Banjo": 0.4}, TAXONOMY)
    assert found.typical is not None
    assert found.typical < 0.01
    assert (found.name, found.strength) == ("banjo", 0.4)
    assert found.genres == ("Bluegrass", "Country", "Old-Time", "Folk", "Dixieland")


def test_a_tagger_that_was_never_measured_needs_a_cautious_strength():
    assert evidence({"gtzan---jazz": 0.4}, TAXONOMY) == ()
    (found,) = evidence({"gtzan---jazz": 0.6}, TAXONOMY)
    assert found.typical is None


def test_instruments_come_before_words_and_the_most_outstanding_first():
    found = evidence(
        {"genre---classical": 0.9, "instrument---piano": 0.4, "instrument---violin": 0.3, "mood/theme---film": 0.3},
        TAXONOMY,
    )
    assert [item.sort for item in found] == ["instrument", "instrument", "genre", "mood"]
    assert [item.name for item in found[:2]] == ["violin or fiddle", "piano"]


def test_tags_of_two_taggers_with_one_meaning_are_one_line():
    found = evidence({"instrument---violin": 0.06, "Violin, fiddle": 0.9}, TAXONOMY)
    assert [item.tag for item in found] == ["Violin, fiddle"]


def test_silent_and_unknown_tags_are_no_evidence():
    assert evidence({"instrument---drums": 0.99, "Dog": 0.99, "Music": 1.0}, TAXONOMY) == ()


def test_genres_are_in_the_words_of_the_user(tmp_path):
    (tmp_path / "mine.toml").write_text('[drop]\nvalues = ["Bluegrass"]\n[output]\n"Folk" = "Songs of Old"\n')
    (found,) = evidence({"instrument---violin": 0.5}, load(tmp_path / "mine.toml"))
    assert found.genres == ("Classical", "Country", "Songs of Old")
    assert found.supports("Indie Folk", load(tmp_path / "mine.toml"))


def test_evidence_supports_genres_above_and_below_its_genres():
    (found,) = evidence({"Harpsichord": 0.9}, TAXONOMY)
    assert found.genres == ("Classical", "Baroque")
    assert found.supports("Baroque", TAXONOMY)
    assert found.supports("Symphony", TAXONOMY)
    assert not found.supports("Rock", TAXONOMY)
    assert not found.supports("no such genre", TAXONOMY)


def test_golden_recordings_show_the_instruments_that_play():
    if not (DATA / "golden" / "musicnn.npz").is_file():
        pytest.skip("needs ../shared/data/golden/musicnn.npz")
    golden = np.load(DATA / "golden" / "musicnn.npz")
    tags_of = dict(zip(golden["names"], golden["tags"], strict=True))
    dance = evidence(dict(zip(TAGS, tags_of["golden/hungarian_dance.flac"].tolist(), strict=True)), TAXONOMY)
    ragtime = evidence(dict(zip(TAGS, tags_of["golden/pistachio_ragtime.flac"].tolist(), strict=True)), TAXONOMY)
    assert {"violin or fiddle", "orchestra"} <= {item.name for item in dance}
    assert ragtime[0].name == "piano"
