"""A model whose vectors no stage reads is named as such, with the very line that trains one; so after installing it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from music_reclass.cli.data import LATER
from music_reclass.cli.main import cli
from music_reclass.config import remember
from music_reclass.domain import FeatureKind
from music_reclass.extractors.weights import catalogue
from music_reclass.models.bundle import Bundle, embedded, make, save, trained_folder
from tests.extractors import small_models
from tests.library import Shell

LINE = "reclass train all --on library --sample 3000 --stages "


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def listed(shell: Shell, *words: str) -> dict[str, tuple[list[str], str | None]]:
    """Stages and line of each model, as the list has them."""
    assert shell("models", "list", "--json", *words) == 0
    return {one["model"]: (one["stages"], one["train"]) for one in shell.objects() if "title" in one}


def installed(name: str) -> None:
    small_models.install(name, {"any": np.zeros(1, np.float32)})


def test_the_list_names_the_stages_of_each_model_or_the_line_that_trains_one(shell: Shell) -> None:
    found = listed(shell)

    assert found["efficientat"] == (["efficientat", "content-tags"], None)
    assert found["musicnn"] == (["musicnn"], None)
    assert found["mert"] == ([], f"{LINE}fma518,mert")
    assert found["mert-330m"] == ([], f"{LINE}fma518,mert-330m")
    assert found["efficientat-mn10"] == ([], f"{LINE}fma518,efficientat-mn10")
    assert found["discogs-effnet"] == (["discogs"], None)
    assert found["ast"] == ([], None)
    shell("models", "list")
    assert f"no stage reads its vectors yet; make one from your tags: {LINE}fma518,jmla" in shell.out
    assert shell.out.count("its tags are evidence") == 2


def test_the_line_holds_what_is_installed_and_one_model_of_a_sort(shell: Shell) -> None:
    for name in ("efficientat", "musicnn", "mert", "jmla"):
        installed(name)

    found = listed(shell)

    assert found["mert"][1] == f"{LINE}fma518,efficientat,mert,jmla"
    assert found["mert-330m"][1] == f"{LINE}fma518,efficientat,mert-330m,jmla"
    assert found["efficientat-mn10"][1] == f"{LINE}fma518,efficientat-mn10,mert,jmla"


def test_every_line_is_a_command_that_there_is() -> None:
    for model in catalogue.MODELS.values():
        assert not any(kind in LATER for kind in model.kinds) or model.kinds[0] in LATER
    words = shlex.split(f"{LINE}fma518,efficientat,mert,jmla")[1:]
    group = cli.get_command(cli.make_context("reclass", words, resilient_parsing=True), words[0])
    assert group is not None
    command = group.get_command(None, words[1])  # type: ignore[attr-defined]
    assert command.make_context("all", words[2:]).params["sample"] == 3000


def with_mert() -> Bundle:
    """The embedded model as if its 518 numbers were MERT's."""
    first = embedded()
    manifest = {key: value for key, value in first.manifest.items() if key not in ("digest", "format", "model")}
    mert = FeatureKind("mert", "1-x", 518, "mid30")
    kinds = [{"name": mert.name, "version": mert.version, "dimension": mert.dimension, "excerpt": mert.excerpt}]
    return make({**manifest, "stage": "mert", "kinds": kinds}, first.model)


def test_a_bundle_of_the_user_is_a_head(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(with_mert(), tmp_path / "head")

    assert listed(shell, "--bundle", str(tmp_path / "head"))["mert"] == (["mert"], None)
    monkeypatch.setenv("RECLASS_CONFIG", str(tmp_path / "config.toml"))
    remember(tmp_path / "config.toml", "bundle", str(tmp_path / "head"))
    assert listed(shell)["mert"] == (["mert"], None)


def test_a_cascade_that_was_trained_and_is_not_in_use_is_named_with_the_flag_that_uses_it(shell: Shell) -> None:
    installed("mert")
    save(with_mert(), trained_folder() / "fma518-mert")
    (trained_folder() / "broken").mkdir()

    assert listed(shell)["mert"] == ([], None)
    folder = trained_folder() / "fma518-mert"
    assert next(one["bundle"] for one in shell.objects() if one.get("model") == "mert") == str(folder)
    shell("doctor")
    assert f"mert: a stage that you trained reads its vectors; scans use it with --bundle {folder}" in shell.out
    assert listed(shell, "--bundle", str(folder))["mert"] == (["mert"], None)


def test_who_installs_a_model_is_told_what_to_do_with_it(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights"
    small_models.write_safetensors(weights, small_models.random_musicnn())
    assert shell("models", "install", "musicnn", weights, "--trust") == 0
    assert shell.out.splitlines()[-1].startswith("The next scan uses it: reclass scan PATH")

    small_models.write_safetensors(weights, small_models.random_efficientat(1.0))
    assert shell("models", "install", "efficientat-mn10", weights, "--trust") == 0
    assert (
        f"Scans do not use it yet, as no stage reads its vectors. Make one from your genre tags:\n{LINE}" in shell.out
    )
    assert "the library has 0. Scan tagged music first" in shell.out
    assert shell("models", "install", "efficientat-mn10", weights, "--trust", "--json") == 0
    assert json.loads(shell.out)["train"] == f"{LINE}fma518,efficientat-mn10"


def test_doctor_names_models_without_a_stage(shell: Shell) -> None:
    def heads() -> str:
        shell("doctor", "--json")
        return next(str(check["detail"]) for check in shell.objects() if check["check"] == "heads")

    assert heads() == "every installed network is read by a stage, or gives evidence"
    installed("mert")
    assert heads() == f"mert: no stage reads its vectors yet; make one from your tags: {LINE}fma518,mert"
