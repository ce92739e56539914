"""The Dockerfiles, compose.yaml and the systemd units copy, install and run what there is; no image runs as root."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.requirements import requirements

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile*"))
each_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Every instruction of a Dockerfile with its text on one line; comments are left out."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps a file from the builder."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    return not any(
        name == kept or name.startswith(f"{kept}/") for kept in (line[1:] for line in lines if line[0] == "!")
    )


@each_dockerfile
def test_every_file_that_is_copied_or_mounted_exists_and_reaches_the_builder(path: Path) -> None:
    copied = [text.split()[:-1] for word, text in instructions(path) if word == "COPY" and "--from" not in text]
    mounts = [
        mount for word, text in instructions(path) if word == "RUN" for mount in re.findall(r"--mount=(\S+)", text)
    ]
    copied += [re.findall(r"source=([^,]+)", mount) for mount in mounts if "from=" not in mount]
    assert copied
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists(), name
        assert not ignored(name), name


@each_dockerfile
def test_every_extra_and_every_package_left_out_is_one_of_the_project(path: Path) -> None:
    lines = re.findall(r"python tools/requirements\.py ([^>&]+)>", "\n".join(text for _, text in instructions(path)))
    assert lines
    for words in map(shlex.split, lines):
        extras = words[: words.index("--without")] if "--without" in words else words
        asked = list(requirements(PROJECT, extras))
        assert "watchfiles>=1" in asked  # compose.yaml has a place for watch
        if "--without" in words:
            assert any(line.startswith(words[-1]) for line in asked)
            assert not any(line.startswith(words[-1]) for line in requirements(PROJECT, extras, words[-1:]))


@each_dockerfile
def test_nothing_runs_as_root_floats_or_keeps_its_state_in_the_image(path: Path) -> None:
    stages = re.split(r"(?m)^FROM ", path.read_text())[1:]
    names = [re.match(r"(\S+)(?: AS (\w+))?", stage) for stage in stages]
    assert all(names)
    bases = {found[1] for found in names if found} - {found[2] for found in names if found}
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", base) for base in bases), bases
    assert "latest" not in path.read_text()
    ends = [stage for stage in stages if "ENTRYPOINT" in stage]
    assert ends
    for stage in ends:
        assert stage.index("RUN pip" if "RUN pip" in stage else "RUN ") < stage.index("USER 1000")
        assert "RUN" not in stage.partition("USER 1000")[2]
        assert 'VOLUME ["/data", "/models"]' in stage
        assert 'ENTRYPOINT ["reclass"]' in stage
    assert "XDG_DATA_HOME=/data" in path.read_text()
    assert "RECLASS_MODELS=/models" in path.read_text()


@each_dockerfile
def test_pip_keeps_no_cache_and_the_package_comes_after_what_it_needs(path: Path) -> None:
    runs = [text for word, text in instructions(path) if word == "RUN" and re.search(r"pip (install|wheel)", text)]
    assert all("--no-cache-dir" in text for text in runs)
    for stage in re.split(r"(?m)^FROM ", path.read_text())[2:]:
        if "pip install" in stage:
            assert stage.index("-r /requirements") < stage.index("--no-deps /wheels")


def test_an_extra_that_names_others_is_taken_apart_and_a_wrong_one_is_refused() -> None:
    everything = list(requirements(PROJECT, ["all"]))
    assert not [line for line in everything if line.startswith("music_reclass")]
    assert {"matplotlib>=3.7", "onnxruntime>=1.17", *PROJECT["dependencies"]} <= set(everything)
    assert len(everything) == len(set(everything))
    with pytest.raises(KeyError):
        list(requirements(PROJECT, ["nothing"]))


def test_the_jetson_gets_the_torch_that_doctor_gpu_names() -> None:
    from music_reclass.utils.torch_install import _JETPACK_61, _KEYRING

    text = (ROOT / "docker" / "Dockerfile.jetson").read_text()
    assert _JETPACK_61 in text
    assert _KEYRING in text
    assert "-c /constraints.txt" in text


def test_compose_mounts_music_library_and_models_and_runs_commands_that_exist() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with transformers, of the extra test")
    from music_reclass.cli.main import cli

    made = yaml.safe_load((ROOT / "compose.yaml").read_text())
    for name, service in made["services"].items():
        targets = [volume.rpartition(":")[2] for volume in service["volumes"]]
        assert targets == ["/music", "/data", "/models"], name
        command = cli.get_command(None, service["command"][0])  # type: ignore[arg-type]
        assert command is not None, name
        flags = {flag for parameter in command.params for flag in parameter.opts}
        assert {word for word in service["command"] if word.startswith("--")} <= flags, name
        build = service["build"]
        assert f"AS {build['target']}" in (ROOT / build["dockerfile"]).read_text()
        assert service["user"].startswith("${PUID:-1000}")
    assert set(made["volumes"]) == {"library", "models"}


def test_the_systemd_units_are_those_of_the_page_on_watch() -> None:
    shown = re.findall(r"```ini\n(.*?)```", (ROOT / "docs" / "how-to" / "watch.md").read_text(), flags=re.S)
    units = {path.name: path.read_text() for path in (ROOT / "contrib" / "systemd").iterdir()}
    assert sorted(shown) == sorted(units.values())
    assert units.keys() == {"reclass-watch.service", "reclass-scan.service", "reclass-scan.timer"}


def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (the Debian package systemd)")
    for path in (ROOT / "contrib" / "systemd").iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace("%h/.local/bin/reclass", "/bin/true"))
    for path in sorted(tmp_path.iterdir()):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", "--man=no", str(path)], capture_output=True, text=True,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)},
        )  # fmt: skip
        assert (done.returncode, [line for line in done.stderr.splitlines() if path.stem in line]) == (0, []), (
            done.stderr
        )
