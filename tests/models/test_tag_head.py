"""A tag head adds up styles by genre: which label a style counts for, what the vote is, and how cautious it stays."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from music_reclass.classification.voter import Stage
from music_reclass.domain import FeatureKind, Outcome
from music_reclass.errors import BundleError
from music_reclass.extractors.discogs import style_names, style_table
from music_reclass.extractors.weights.store import MissingWeights
from music_reclass.models import bundle as bundles
from music_reclass.models.bundle import Bundle, embedded
from music_reclass.models.tag_head import TagHead, label_of, tag_head
from music_reclass.taxonomy import load
from tests.extractors import small_models

TAXONOMY = load()


@pytest.fixture
def head(tmp_path, monkeypatch) -> Bundle:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    small_models.install("discogs-effnet", {"any": np.zeros(1, np.float32)})
    return tag_head("discogs")


def strengths(faint=0.002, **named):
    row = np.full(400, faint, dtype=np.float32)
    for name, strength in named.items():
        row[style_names().index(name)] = strength
    return row


@pytest.mark.parametrize(
    ("style", "label"),
    [
        ("Rock---Heavy Metal", "Rock"),
        ("Rock---Ska", "Reggae"),
        ("Reggae---Dub", "Reggae"),
        ("Electronic---Dub", "Electronic"),
        ("Funk / Soul---Disco", "Soul-RnB"),
        ("Electronic---Disco", "Electronic"),
        ("Electronic---Dark Ambient", "Ambient"),
        ("Jazz---Bossa Nova", "Jazz"),
        ("Latin---Bossanova", "Latin"),
        ("Folk, World, & Country---Bluegrass", "Country"),
        ("Folk, World, & Country---Celtic", "International"),
        ("Hip Hop---Trip Hop", "Hip-Hop"),
        ("Stage & Screen---Score", "Soundtrack"),
        ("Non-Music---Interview", "Spoken"),
        ("Brass & Military---Marches", "Instrumental"),
    ],
)
def test_a_style_counts_for_the_closest_label_and_its_discogs_genre_decides_between_two(style: str, label: str) -> None:
    assert label_of(style, TAXONOMY) == label


def test_every_style_counts_for_a_label_or_a_root() -> None:
    counted = {label_of(style, TAXONOMY) for style in style_names()}
    labels = set(style_table()["labels"]["names"])
    assert counted >= labels
    assert counted - labels <= set(TAXONOMY.roots)
    assert set(embedded().labels) <= counted


def test_the_vote_is_the_share_of_a_labels_styles_made_cautious(head: Bundle) -> None:
    row = strengths(0.0, **{"Electronic---Techno": 0.5, "Electronic---House": 0.3, "Jazz---Bop": 0.2})
    raw = np.exp(head.model.log_probabilities(row[None])[0])
    by_label = dict(zip(head.labels, raw, strict=True))
    assert by_label["Electronic"] == pytest.approx(0.8, abs=1e-3)
    assert by_label["Jazz"] == pytest.approx(0.2, abs=1e-3)
    vote = Stage.from_bundle(head, TAXONOMY).predict(row[None])[0]
    assert vote.genre == "Electronic"
    assert 0.6 < vote.confidence < 0.8


def test_the_same_styles_twice_as_strong_are_the_same_vote(head: Bundle) -> None:
    row = strengths(0.002, **{"Rock---Grunge": 0.3})
    once, twice = head.predict_proba(np.stack([row, 2 * row]))
    assert np.allclose(once, twice, atol=1e-3)


def test_silence_of_all_styles_is_no_opinion(head: Bundle) -> None:
    assert np.ptp(head.predict_proba(np.zeros((1, 400), np.float32))) < 1e-6


def test_it_is_never_confident_and_likely_from_a_cautious_threshold(head: Bundle) -> None:
    stage = Stage.from_bundle(head, TAXONOMY)
    assert (stage.thresholds.likely, stage.thresholds.confident, stage.thresholds.keeps) == (0.6, math.inf, math.inf)
    sure = stage.predict(strengths(0.0, **{"Electronic---Techno": 1.0})[None])[0]
    assert sure.confidence > 0.9
    assert stage.thresholds.outcome(sure.confidence) is Outcome.LIKELY
    assert head.manifest["certificates"]["likely"]["certified"] is False


def test_a_bundle_on_disk_gives_the_same_votes(head: Bundle, tmp_path) -> None:
    bundles.save(head, tmp_path / "saved")
    again = bundles.load(tmp_path / "saved")
    row = strengths(0.01, **{"Latin---Salsa": 0.6})[None]
    assert again.digest == head.digest
    assert np.array_equal(again.predict_proba(row), head.predict_proba(row))


def test_a_matrix_of_another_shape_or_sign_is_refused(head: Bundle) -> None:
    shares = np.array(head.model.arrays()["shares"])
    for wrong in (shares[:-1], -shares, np.full_like(shares, np.nan)):
        with pytest.raises(BundleError, match="share"):
            bundles.make({**head.manifest, "digest": ""}, TagHead(wrong))


def test_the_stage_wants_the_strengths_of_the_installed_weights(head: Bundle) -> None:
    (kind,) = head.kinds
    assert (kind.name, kind.dimension, kind.excerpt) == ("discogs-styles", 400, "mid30")
    stage = Stage.from_bundle(head, TAXONOMY)
    with pytest.raises(BundleError, match="cannot be compared"):
        stage.require(dataclasses.replace(kind, version="1-other"))
    with pytest.raises(BundleError, match="cannot be compared"):
        stage.require(FeatureKind("discogs", kind.version, 1280, "mid30"))


def test_without_weights_there_is_no_tag_head(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    with pytest.raises(MissingWeights, match="reclass models download discogs-effnet"):
        tag_head("discogs")
