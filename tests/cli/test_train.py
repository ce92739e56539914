"""`reclass train`: every sibling writes a bundle that predicts; FMA columns reach what is known; defaults stick."""

import json
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from music_reclass.config import remember
from music_reclass.models import bundle as bundles
from music_reclass.models import trees
from tests.library import Shell
from tests.training.making import learnable, write_features, write_tracks
from tests.training.synthetic import arrays, views_of, written

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "fma"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return written(tmp_path, "t.npz", arrays(90))


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "trees_estimator", partial(trees.trees_estimator, rounds=6))


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("words", [("fma-linear",), ("fma-xgb",), ("fma-mlp", "--epochs", "4")])
def test_every_sibling_writes_a_bundle_that_predicts(
    words: tuple[str, ...], shell: Shell, table: Path, tmp_path: Path
) -> None:
    if words[0] != "fma-mlp":
        pytest.importorskip("sklearn")
    views = written(tmp_path, "v.npz", views_of(arrays(90)))
    out, page = tmp_path / "bundle", tmp_path / "page.html"

    assert shell("train", *words, "--table", table, "--views", views, "--out", out, "--html", page) == 0
    assert "on new artists of t" in shell.out
    assert page.exists()
    bundle = bundles.load(out)
    assert bundle.name == words[0]
    assert bundle.predict_proba(arrays(5)["fma518"]).shape == (5, 4)
    assert bundle.manifest["training"]["views"] == ["quiet", "bright"]


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("words", [("fma-xgb",), ("all", "--epochs", "2")])
def test_where_xgboost_is_absent_scikit_learn_grows_the_trees(
    words: tuple[str, ...], shell: Shell, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, "xgboost", None)
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "no models"))

    assert shell("train", *words, "--table", table, "--out", tmp_path / "b") == 0

    if words[0] == "fma-xgb":
        assert bundles.load(tmp_path / "b").manifest["training"]["estimators"] == ["hgb"]
    else:
        assert re.search(r"alone: nets \d\.\d+, hgb \d\.\d+, linear", shell.out + shell.err)
    assert shell("eval", "--data", table, "--bundle", tmp_path / "b", "--json") == 0
    assert shell.objects()[0]["count"] == 90


def test_a_graphics_card_needs_xgboost_and_that_is_said(
    shell: Shell, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)

    assert shell("train", "fma-xgb", "--table", table, "--out", tmp_path / "b", "--device", "cuda") == 2
    assert "pip install 'music_reclass[xgb]'" in shell.err


@pytest.mark.usefixtures("few_trees")
def test_an_ensemble_says_what_the_stack_and_its_members_reach(shell: Shell, table: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")

    assert shell("train", "fma-mlp", "--table", table, "--out", tmp_path / "b", "--epochs", "3", "--ensemble") == 0
    assert "the stack is" in shell.out
    assert "nets 0." in shell.out or "nets 1." in shell.out


@pytest.mark.skipif(not REAL.exists(), reason="the FMA rows of ../shared are not there")
def test_real_fma_columns_reach_the_known_accuracy_through_the_command(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "bundle"

    assert shell("train", "fma-mlp", "--on", "fma", "--data", REAL, "--subset", "small", "--out", out) == 0

    assert bundles.load(out).manifest["metrics"]["hit@1 clean"] >= 0.93
    assert shell("eval", "--on", "fma", "--data", REAL, "--subset", "small", "--bundle", out, "--json") == 0
    assert shell.objects()[0]["accuracy"]["value"] >= 0.93
    assert shell.objects()[0]["count"] == 199


FMA_GENRES = (
    "Rock", "Electronic", "Experimental", "Hip-Hop", "Folk", "Instrumental", "Pop", "International", "Classical",
    "Old-Time / Historic", "Jazz", "Country", "Soul-RnB", "Spoken", "Blues", "Easy Listening",
)  # fmt: skip


def test_the_recipe_for_the_sixteen_genres_of_fma_makes_a_bundle_of_all_of_them(shell: Shell, tmp_path: Path) -> None:
    folder, out = tmp_path / "fma_metadata", tmp_path / "fma-medium"
    folder.mkdir()
    rows, genres = learnable(480, FMA_GENRES)
    write_features(folder / "features.csv", range(480), rows)
    parts = ("training",) * 8 + ("validation", "test")
    tracks = [
        (number, str(number), parts[number // 16 % 10], ("small", "medium")[number % 2], genre)
        for number, genre in enumerate(genres)
    ]
    write_tracks(folder / "tracks.csv", tracks)
    words = ("--on", "fma", "--data", folder, "--subset", "medium")

    assert shell("train", "fma-mlp", *words, "--out", out, "--epochs", "20") == 0
    bundle = bundles.load(out)
    assert len(bundle.labels) == 16
    assert {"Experimental", "Instrumental", "Spoken", "Old-Time"} <= {label.split(" /")[0] for label in bundle.labels}
    assert bundle.kinds[0].key == "fma518/1/full"
    assert bundle.manifest["metrics"]["rows"] == 48  # the official test part alone

    assert shell("eval", *words, "--bundle", out, "--json") == 0
    (judged,) = shell.objects()
    assert judged["count"] == 48
    assert judged["accuracy"]["value"] == pytest.approx(bundle.manifest["metrics"]["hit@1 clean"], abs=1e-4)
    assert judged["accuracy"]["value"] > 0.5
    assert not [text for text in judged["warnings"] if "very rows" in text and "split" not in text]


def test_set_default_makes_every_scan_use_it(
    shell: Shell, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    config = tmp_path / "config.toml"
    monkeypatch.setenv("RECLASS_CONFIG", str(config))

    assert shell("train", "fma-linear", "--table", table, "--out", tmp_path / "b", "--set-default") == 0
    assert shell("eval", "--data", table, "--json") == 0

    assert shell.objects()[0]["title"].startswith("fma-linear 1 on t")


def test_remembering_a_setting_keeps_every_other_line(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "config.toml"
    remember(file, "bundle", "/a")
    file.write_text('# mine\njobs = 3\nbundle = "/old"\n\n[plex]\nbundle = "not this"\n')
    remember(file, "bundle", '/b "quoted"')

    assert file.read_text().splitlines() == [
        "# mine", "jobs = 3", "bundle = " + json.dumps('/b "quoted"'), "", "[plex]", 'bundle = "not this"',
    ]  # fmt: skip
    file.write_text("[plex]\nx = 1\n")
    remember(file, "bundle", "/c")
    assert file.read_text().splitlines() == ['bundle = "/c"', "[plex]", "x = 1"]


def test_wrong_words_are_answered_in_a_sentence(shell: Shell, tmp_path: Path) -> None:
    assert shell("train", "fma-linear", "--table", tmp_path / "none.npz", "--out", tmp_path / "b") == 3
    unlabelled = written(tmp_path, "u.npz", {k: arrays(30)[k] for k in ("fma518", "columns")})
    assert shell("train", "fma-linear", "--table", unlabelled, "--out", tmp_path / "b") == 2
    assert "no labels" in shell.err
    views = written(tmp_path, "v.npz", {"x": np.zeros(1)})
    assert shell("train", "fma-linear", "--on", "library", "--views", views, "--out", tmp_path / "b") in (2, 3)
