"""`reclass train all` and the later stages; `predict` runs the cascade that they make."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.classification.policy import Thresholds, tied
from music_reclass.cli.main import run
from music_reclass.domain import Vote
from music_reclass.models import bundle as bundles
from music_reclass.models import trees
from music_reclass.models.early_exit import exit_rules_of
from music_reclass.models.exit_policy import ExitPolicy
from tests.library import Shell
from tests.training.synthetic import arrays, with_later_kinds, written

pytest.importorskip("sklearn")


@pytest.fixture(autouse=True)
def small_trees_and_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "trees_estimator", partial(trees.trees_estimator, rounds=6))
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "no models"))


Predict = Callable[[Path, Path], list[dict[str, Any]]]
EASY = ("--epsilon", "0.2", "--delta", "0.2", "--epochs", "5")


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Predict:
    """The JSON lines of `reclass predict` for a table and a bundle."""

    def rows(table: Path, bundle: Path) -> list[dict[str, Any]]:
        capsys.readouterr()
        words = ["--exit-policy", "certified", "--json"]
        assert run(["predict", "--table", str(table), "--bundle", str(bundle), *words]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return rows


def made(folder: Path) -> Path:
    """A table with musicnn vectors, of one collection."""
    content = with_later_kinds(150, apart=0.8, musicnn=200) | {"dataset": np.full(150, "one")}
    return written(folder, "t.npz", content)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return made(tmp_path)


@pytest.fixture
def trained(shell: Shell, table: Path, tmp_path: Path) -> Path:
    """A cascade of two stages, trained from the table."""
    assert shell("train", "all", "--table", table, "--stages", "fma518,musicnn", *EASY, "--out", tmp_path / "l") == 0
    return tmp_path / "l"


def test_a_cascade_is_trained_from_a_table_and_run_by_predict(
    shell: Shell, trained: Path, predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "a cascade of 2: 150 tracks of 50 artists" in shell.out
    first, second = bundles.load_cascade(trained)
    exit_rule = exit_rules_of(first.manifest)[0]
    assert exit_rule.against == (second.digest,)
    assert exit_rule.threshold is not None
    assert exit_rule.sentence() in shell.out
    assert [bundle.name for bundle in (first, second)] == ["fma-mlp", "musicnn-ensemble"]

    new = with_later_kinds(90, seed=5, apart=0.8, musicnn=200)
    rows = predict(written(tmp_path, "new.npz", {k: new[k] for k in ("fma518", "columns", "musicnn")}), trained)

    (rule, _) = ExitPolicy().rules([first, second])
    assert rule is not None
    limits = Thresholds.from_manifest(first.manifest, rule.threshold)
    cheap = [Vote("fma518", dict(zip(first.labels, row, strict=True))) for row in first.predict_proba(new["fma518"])]
    exits = [vote.confidence >= limits.exit and tied(vote, limits) is None for vote in cheap]
    assert [row["stage"] for row in rows] == ["fma518" if exit_here else "musicnn" for exit_here in exits]
    assert [row["exited"] for row in rows] == [row["stage"] == "fma518" for row in rows]
    assert {row["stage"] for row in rows} == {"fma518", "musicnn"}
    right = [new["labels"][n, list(first.labels).index(row["genre"])] for n, row in enumerate(rows)]
    assert np.mean(right) > 0.85
    assert all(abs(sum(row["probabilities"].values()) - 1) < 1e-4 for row in rows)

    # eval judges the cascade as a whole.
    words = ("--bundle", trained, "--exit-policy", "certified", "--json")
    assert shell("eval", "--data", written(tmp_path, "labelled.npz", new), *words) == 0
    judged = shell.objects()[0]
    assert judged["title"].startswith("a cascade (decided by fma518 ")
    assert judged["accuracy"]["value"] == pytest.approx(np.mean(right))
    shown = {one["policy"]: one for one in judged["policies"]}
    assert shown["certified"]["accuracy"] == pytest.approx(np.mean(right))
    assert shown["certified"]["chosen"]
    assert shown["expected (quick)"]["seconds"] <= shown["expected (thorough)"]["seconds"]

    # A stage whose vectors a table lacks is named once, and never votes.
    assert run(["predict", "--table", str(written(tmp_path, "few.npz", arrays(9))), "--bundle", str(trained)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 9
    assert err == "The stage musicnn never votes: the table holds no array musicnn.\n"


@pytest.mark.parametrize(
    ("stage", "width", "key"),
    [("musicnn", 200, "musicnn/1-425c7c95/mid30"), ("efficientat", 384, "efficientat/1-6842ddaa/mid30")],
)
def test_a_later_stage_alone_is_a_bundle_of_all_its_kinds(
    stage: str, width: int, key: str, shell: Shell, predict: Predict, tmp_path: Path
) -> None:
    out = tmp_path / "second"
    table = written(tmp_path, "t.npz", with_later_kinds(150, apart=0.8, **{stage: width}))

    assert shell("train", f"{stage}-ensemble", "--table", table, "--out", out, "--epochs", "4") == 0

    bundle = bundles.load(out)
    assert [kind.key for kind in bundle.kinds] == ["fma518/1/mid30", key]
    assert bundle.stage == stage
    assert {row["stage"] for row in predict(table, out)} == {stage}


def test_a_table_with_efficientat_and_musicnn_makes_a_cascade_of_both(shell: Shell, tmp_path: Path) -> None:
    content = with_later_kinds(90, musicnn=200, efficientat=384, efficientat_tags=527)
    table = written(tmp_path, "t.npz", content | {"dataset": np.full(90, "one")})
    words = ("train", "all", "--table", table, "--out", tmp_path / "l", "--epochs", "2")
    assert shell(*words, "--stages", "fma518,efficientat,musicnn") == 0
    assert [bundle.stage for bundle in bundles.load_cascade(tmp_path / "l")] == ["fma518", "efficientat", "musicnn"]

    assert shell(*words, "--sample", "60") == 0
    assert "musicnn is left out: beside efficientat it adds nothing" in shell.err
    assert "--stages fma518,efficientat,musicnn" in shell.err
    assert "a sample of 60 tracks of 90" in shell.out
    assert "musicnn" not in [bundle.stage for bundle in bundles.load_cascade(tmp_path / "l")]


def test_three_stages_are_trained_where_the_table_says_what_its_vectors_are(shell: Shell, tmp_path: Path) -> None:
    said = {"kinds": np.array(["mert/1-l7-norm-00/mid30", "jmla/1-00/mid30"]), "dataset": np.full(90, "one")}
    table = written(tmp_path, "t.npz", with_later_kinds(90, mert=20, jmla=20) | said)
    words = ("--stages", "fma518,mert,jmla", "--out", tmp_path / "l", "--epochs", "2")
    assert shell("train", "all", "--table", table, *words) == 0
    found = bundles.load_cascade(tmp_path / "l")
    assert [[kind.name for kind in bundle.kinds] for bundle in found] == [
        ["fma518"], ["fma518", "mert"], ["fma518", "mert", "jmla"],
    ]  # fmt: skip
    assert found[2].kinds[2].version == "1-00"
    assert [len(exit_rules_of(bundle.manifest)) for bundle in found] == [2, 1, 0]
    assert "never exits" in shell.out  # thirty artists certify nothing


@pytest.mark.parametrize("command", ["all", "fma-linear", "musicnn-ensemble"])
def test_names_that_the_taxonomy_does_not_know_are_refused_before_training(
    command: str, shell: Shell, table: Path, tmp_path: Path
) -> None:
    odd = {"classes": np.array(["Blues", "My Own Thing", "Pop", "Zzz"])}
    path = written(tmp_path, "odd.npz", with_later_kinds(60, musicnn=200) | odd)

    assert shell("train", command, "--table", path, "--out", tmp_path / "b") == 2

    assert "My Own Thing, Zzz" in shell.err
    assert len(shell.err.splitlines()) == 1
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("stages", ["musicnn", "fma518,nothing", "fma518,musicnn,musicnn", "musicnn,fma518"])
def test_what_is_no_cascade_is_refused(stages: str, shell: Shell, table: Path, tmp_path: Path) -> None:
    assert shell("train", "all", "--table", table, "--stages", stages, "--out", tmp_path / "l") == 2
    assert "There is no cascade" in shell.err


def test_set_default_makes_it_the_cascade_of_every_scan(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    monkeypatch.setenv("RECLASS_CONFIG", str(config))
    table = written(tmp_path, "t.npz", arrays(60) | {"dataset": np.full(60, "one")})

    assert shell("train", "all", "--table", table, "--out", tmp_path / "l", "--epochs", "2", "--set-default") == 0

    assert json.dumps(str(tmp_path / "l")) in config.read_text()
    assert [bundle.stage for bundle in bundles.load_cascade(tmp_path / "l")] == ["fma518"]


def test_without_out_a_cascade_goes_to_the_users_bundles_and_a_scan_line_names_it(shell: Shell, tmp_path: Path) -> None:
    table = written(tmp_path, "t.npz", arrays(60) | {"dataset": np.full(60, "one")})

    assert shell("train", "all", "--table", table, "--epochs", "2") == 0

    folder = Path(os.environ["XDG_DATA_HOME"]) / "reclass" / "bundles" / "fma518"
    assert [bundle.stage for bundle in bundles.load_cascade(folder)] == ["fma518"]
    assert f"use it: reclass scan --bundle {folder} PATH" in shell.out
