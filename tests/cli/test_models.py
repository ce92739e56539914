"""The commands that list, fetch, install and check models."""

from __future__ import annotations

import dataclasses
import json

import click
import numpy as np
import pytest
from click.testing import CliRunner

from music_reclass.cli import models as command
from music_reclass.errors import NothingToDo, ReclassError, ServerError, UsageError
from music_reclass.extractors.device import Placement
from music_reclass.extractors.weights import catalogue, install, store
from music_reclass.extractors.weights.checkpoint import write_safetensors
from music_reclass.models import bundle as bundles
from music_reclass.models import bundle as ladders
from music_reclass.models import bundle as musicnn_ensemble
from music_reclass.models import early_exit as exits
from tests.extractors import small_models


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


def run(*words):
    """What `reclass models ...` printed and its exit code; its errors are raised."""
    result = CliRunner().invoke(command.models, list(words), standalone_mode=False, catch_exceptions=True)
    if result.exception is not None:
        raise result.exception
    return result


def objects(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_list_names_the_stages_and_the_models_that_can_be_added():
    listed = objects(run("list", "--json"))
    stages = [entry["stage"] for entry in listed if "stage" in entry]
    assert stages == list(bundles.EMBEDDED)
    added = listed[len(stages) :]
    assert [entry["model"] for entry in added] == list(catalogue.MODELS)
    assert not any(entry["installed"] for entry in added)
    small_models.install("jmla", small_models.random_musicnn())
    assert [entry["model"] for entry in objects(run("list", "--json")) if entry.get("installed")] == ["jmla"]


def test_the_list_for_people_says_size_licence_and_extra():
    text = run("list").stdout
    assert "378 MB to download; licence CC-BY-NC-4.0; needs music_reclass[neural]" in text


def ladder_with_exit(folder, exit_rule):
    """The embedded stages with another certificate in the first one's manifest."""
    first, second = bundles.embedded(), musicnn_ensemble.embedded("musicnn")
    own = exits.exit_as_manifest(dataclasses.replace(exit_rule, against=(second.digest,)))
    dropped = ("digest", "format", "model", "columns_digest")
    manifest = {key: value for key, value in first.manifest.items() if key not in dropped} | {"exits": [own]}
    ladders.save_cascade((bundles.make(manifest, first.model), second), folder)


def test_no_threshold_of_the_list_lies_below_the_least_that_decides():
    assert bundles.embedded("efficientat").thresholds["likely"] < 0.5
    lines = run("list").stdout.splitlines()
    stated = [line for line in lines if line.startswith("thresholds")]
    assert len(stated) == 3
    assert "likely >= 0.50" in stated[1]


def test_the_list_says_what_an_exit_guarantees_and_on_which_tracks(tmp_path):
    seen = {
        "clean": {"threshold": 0.71, "count": 800, "lost": 8, "exits": 0.31},
        "small": {"threshold": 0.57, "count": 69, "share lost": 0.019, "exits": 0.2, "certified": False},
    }
    ladder_with_exit(tmp_path / "own", exits.ExitRule(0.87, count=700, lost=6, exits=0.18, held_on=seen))
    text = run("list", "-v", "--bundle", str(tmp_path / "own")).stdout
    assert "exits from 0.87 (18% of tracks): at most 2.0% of all tracks wrong where the whole cascade is right" in text
    assert "epsilon 0.02, delta 0.1, n 700" in text
    assert "on clean: threshold 0.71, 8 of 800 lost, 31% exit" in text
    assert "on small: monitored only, 69 tracks: at 0.57 1.9% lost, 20% exit" in text
    listed = objects(run("list", "--json", "--bundle", str(tmp_path / "own")))
    assert (listed[0]["exit"]["threshold"], listed[1]["exit"]) == (0.87, None)


def test_the_list_says_that_a_stage_without_a_certificate_never_exits(tmp_path):
    ladder_with_exit(
        tmp_path / "own", exits.ExitRule(None, count=9, why="not certified: 9 independent tracks are too few")
    )
    text = run("list", "--bundle", str(tmp_path / "own")).stdout
    assert "never exits: not certified: 9 independent tracks are too few" in text


def test_a_file_is_installed_and_verified(tmp_path):
    write_safetensors(tmp_path / "weights", small_models.random_musicnn())
    with pytest.raises(ReclassError, match="--trust"):
        run("install", "musicnn", str(tmp_path / "weights"))
    assert objects(run("install", "musicnn", str(tmp_path / "weights"), "--trust", "--json"))[0]["installed"]
    checks = objects(run("verify", "musicnn", "--json"))
    assert {check["ok"] for check in checks} == {True}
    assert "72 tensors" in run("verify").stdout


def test_verify_runs_networks_where_the_configuration_says(tmp_path, monkeypatch):
    placements = []
    monkeypatch.setattr(install, "self_check", lambda model, placement: placements.append(placement) or ())
    small_models.install("musicnn", {"any": np.zeros(1, np.float32)})
    (tmp_path / "config.toml").write_text('device = "cpu"\nprecision = "fp32"\n')
    run("verify", "--config", str(tmp_path / "config.toml"))
    run("verify", "--config", str(tmp_path / "config.toml"), "--precision", "bf16")
    assert placements == [Placement("cpu", "", "fp32"), Placement("cpu", "", "bf16")]


def test_verify_without_a_model_has_nothing_to_do():
    with pytest.raises(NothingToDo, match="reclass models list"):
        run("verify")


def test_a_damaged_model_makes_verify_fail():
    installed = small_models.install("musicnn", small_models.random_musicnn())
    write_safetensors(installed.weights, small_models.random_musicnn(seed=1))
    assert run("verify").return_value == 1


def test_the_licence_is_printed_with_its_source():
    assert "CC BY-NC 4.0" in run("licence", "mert").stdout
    with pytest.raises(UsageError, match="did you mean 'mert'"):
        run("licence", "merd")


def test_without_a_terminal_a_download_wants_its_licence_accepted_on_the_command_line(monkeypatch):
    monkeypatch.setattr(install, "from_internet", lambda *_: pytest.fail("nothing was accepted"))
    with pytest.raises(UsageError, match="Say -y"):
        run("download", "mert")


def test_the_licence_is_shown_before_the_first_download_only(monkeypatch):
    def offline(model, progress, trust):
        raise ServerError("offline")

    monkeypatch.setattr(install, "from_internet", offline)
    shown = []
    monkeypatch.setattr(command, "complain", shown.append)
    for _ in range(2):
        with pytest.raises(ServerError):
            run("download", "mert", "-y")
    assert len(shown) == 1
    assert "creativecommons.org" in shown[0]


def test_who_declines_the_licence_downloads_nothing(monkeypatch):
    monkeypatch.setattr(command, "interactive", lambda: True)
    monkeypatch.setattr(command, "confirm", lambda *_: False)
    with pytest.raises(click.Abort):
        command._accept_licence(catalogue.model("mert"), yes=False)
    assert not store.licence_shown("mert")
    monkeypatch.setattr(command, "confirm", lambda *_: True)
    command._accept_licence(catalogue.model("mert"), yes=False)
    assert store.licence_shown("mert")


def test_a_download_ends_with_the_installed_model(monkeypatch):
    made = small_models.install("musicnn", small_models.random_musicnn())

    def arrives(model, progress, trust):
        progress(model.size)
        return made

    monkeypatch.setattr(install, "from_internet", arrives)
    assert "reclass models verify musicnn" in run("download", "musicnn", "-y").stdout


def in_the_hub_cache(tmp_path, monkeypatch):
    """The catalogue's MusiCNN as if it were of the hub, random weights of it in the hub's cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "models--owner--name" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    write_safetensors(snapshot / "w.safetensors", small_models.random_musicnn())
    url = f"https://huggingface.co/owner/name/resolve/{'a' * 40}/w.safetensors"
    file = catalogue.RemoteFile("w.safetensors", url, 1000, store.file_digest(snapshot / "w.safetensors"))
    model = dataclasses.replace(catalogue.model("musicnn"), files=(file,))
    monkeypatch.setitem(catalogue.MODELS, "musicnn", model)
    return snapshot / "w.safetensors"


@pytest.mark.parametrize("words", [("download", "musicnn", "-y"), ("install", "musicnn")])
def test_weights_in_the_hugging_face_cache_are_used_and_that_is_said(words, tmp_path, monkeypatch):
    path = in_the_hub_cache(tmp_path, monkeypatch)
    monkeypatch.setattr(install, "from_internet", lambda *_: pytest.fail("it is here already"))
    result = CliRunner().invoke(command.models, list(words), standalone_mode=False)
    assert f"Nothing is downloaded: the Hugging Face cache has it, {path}" in result.stderr
    assert "72 tensors" in result.stdout


def test_install_without_a_path_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(NothingToDo, match=rf"{tmp_path}/hub\) has no published pytorch_model\.bin of mert"):
        run("install", "mert")


def test_a_download_goes_on_where_the_cache_has_other_weights(tmp_path, monkeypatch):
    write_safetensors(in_the_hub_cache(tmp_path, monkeypatch), small_models.random_musicnn(seed=1))
    made = small_models.install("musicnn", small_models.random_musicnn())
    monkeypatch.setattr(install, "from_internet", lambda *_: made)
    assert "72 tensors" in run("download", "musicnn", "-y").stdout
