"""What the extras bring on each machine, by real pip, offline, with made-up wheels: a Jetson keeps NVIDIA's torch."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
CI = ROOT / ".ci" / "constraints.txt"
CONSTRAINTS = ROOT / "docs" / "how-to" / "jetson-constraints.txt"

JETSON = {"platform_release": "5.15.148-tegra", "platform_machine": "aarch64", "sys_platform": "linux"}
THOR = JETSON | {"platform_release": "6.8.12-tegra"}
DESKTOP = {"platform_release": "6.8.0-45-generic", "platform_machine": "x86_64", "sys_platform": "linux"}
SERVER = DESKTOP | {"platform_machine": "aarch64"}  # an ARM machine that is no Jetson
MAC = {"platform_release": "24.1.0", "platform_machine": "arm64", "sys_platform": "darwin"}
NVIDIAS = ("2.4.0a0+07cecf4168.nv24.05", "2.5.0a0+872d972e41.nv24.08")


def required(extra: str, machine: dict[str, str]) -> set[str]:
    """The packages that an extra asks for on a machine."""
    environment: dict[str, str] = {**default_environment(), **machine}  # type: ignore[dict-item]
    wanted = [Requirement(line) for line in EXTRAS[extra]]
    return {one.name for one in wanted if one.marker is None or one.marker.evaluate(environment)}


@pytest.mark.parametrize("extra", EXTRAS)
def test_no_extra_asks_for_torch_or_xgboost_on_a_jetson_but_the_one_of_that_name(extra: str) -> None:
    for machine in (JETSON, THOR):
        asked = required(extra, machine)
        assert "torch" not in asked
        assert "xgboost" not in asked
        assert ("xgboost-cpu" in asked) == (extra == "xgb")


def test_other_machines_get_torch_and_the_trees_that_suit_them() -> None:
    assert all("torch" in required("neural", machine) for machine in (DESKTOP, SERVER, MAC))
    trees = [required("train", machine) - {"scikit-learn"} for machine in (DESKTOP, SERVER, MAC)]
    assert trees == [{"xgboost-cpu"}, set(), {"xgboost"}]
    assert required("xgb", SERVER) == {"xgboost-cpu"}
    assert required("xgb", MAC) == {"xgboost"}


def test_the_extra_test_takes_any_torch_that_runs_and_ci_alone_takes_one_release_of_it() -> None:
    allowed = next(Requirement(line) for line in EXTRAS["test"] if line.startswith("torch"))
    pinned = {one.name: one for one in (Requirement(line) for line in CI.read_text().splitlines() if line[:1] != "#")}
    release = re.fullmatch(r"==([\d.]+)", str(pinned["torch"].specifier))
    assert release is not None
    assert {"2.4.0", "2.15.0", release[1]} == set(allowed.specifier.filter(["2.3.1", "2.4.0", "2.15.0", release[1]]))
    assert "-c .ci/constraints.txt" in (ROOT / ".ci" / "run").read_text()


def test_the_readme_runs_the_tests_as_ci_does() -> None:
    shown = (ROOT / "README.md").read_text().partition("## Develop")[2].partition("```sh\n")[2].partition("```")[0]
    run = (ROOT / ".ci" / "run").read_text()
    for command in re.split(r" && |\n", shown.strip()):
        assert command.removeprefix("pip install ").replace(".[test]", ".[test,docs]") in run, command


def test_the_readme_has_a_row_for_every_extra() -> None:
    table = (ROOT / "README.md").read_text().partition("## Extras")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"(?m)^\| (`.*?) \|", table) for name in re.findall(r"`(\w+)`", row)}
    assert named == EXTRAS.keys()


def test_the_classifiers_name_every_python_that_the_workflow_tests() -> None:
    versions = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    assert re.findall(r'"(3\.\d+)"', workflow.partition("python: [")[2].partition("]")[0]) == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert "bash .ci/run" in workflow


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_every_workflow_may_read_alone_unless_a_job_says_more_and_runs_scripts_that_exist(path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with transformers, of the extra test")
    made = yaml.safe_load(path.read_text())
    assert made["permissions"]["contents"] == "read"
    for job in made["jobs"].values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            for name in re.findall(r"(?:tools|docker|docs|\.ci)/[\w./]+", step.get("run", "")):
                assert (ROOT / name).exists(), name
            for word in re.findall(r"python -m (tools\.\w+)", step.get("run", "")):
                assert (ROOT / f"{word.replace('.', '/')}.py").is_file(), word


def wheel(folder: Path, name: str, version: str, requires: list[str] | None = None) -> None:
    """An empty wheel with that metadata."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    extras = [f"Provides-Extra: {extra}" for extra in EXTRAS] if name == "music_reclass" else []
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *extras]
    lines += [f"Requires-Dist: {one}" for one in requires or []]
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def metadata() -> list[str]:
    """The requirements of this project as its wheel states them."""
    stated = list(PROJECT["dependencies"])
    for extra, lines in EXTRAS.items():
        for line in lines:
            name, _, marker = line.partition(";")
            stated.append(f"{name}; ({marker}) and extra == '{extra}'" if marker else f"{name}; extra == '{extra}'")
    return stated


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels: this project, all that it asks for, and a torch that brings CUDA, as the real one does."""
    folder = tmp_path_factory.mktemp("index")
    wheel(folder, "music_reclass", "1", metadata())
    names = {Requirement(line).name for line in metadata()} - {"music_reclass", "torch", "numpy"}
    for name in names:
        wheel(folder, name, "999", ["numpy>=1.20"] if name in ("scipy", "scikit-learn") else None)
    for version in ("1.26.4", "2.2.6"):
        wheel(folder, "numpy", version)
    wheel(folder, "torch", "2.15.0", ["nvidia-cudnn-cu13"])
    wheel(folder, "nvidia-cudnn-cu13", "9")
    return folder


class Machine:
    """An empty environment whose Python says that it is another machine."""

    def __init__(self, folder: Path, says: dict[str, str], index: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python, self.index = folder / "bin" / "python", index
        self.site = next((folder / "lib").glob("python*/site-packages"))
        release, machine = says["platform_release"], says["platform_machine"]
        (self.site / "sitecustomize.py").write_text(
            f"import platform\nplatform.release = lambda: {release!r}\nplatform.machine = lambda: {machine!r}\n"
        )

    def has(self, name: str, version: str) -> None:
        """Put an installed package there, as a wheel from elsewhere would."""
        info = self.site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text(f"{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
        (info / "INSTALLER").write_text("pip\n")

    def pip(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`pip` of this interpreter, working on that environment, without any network."""
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        environment = bare | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    def install(self, *words: str) -> dict[str, str]:
        """Install for real; name and version of what is there then."""
        done = self.pip("install", "-q", "--no-index", "--find-links", str(self.index), "--no-compile", *words)
        assert done.returncode == 0, done.stderr
        found = (re.fullmatch(r"(.+)-([^-]+)\.dist-info", path.name) for path in self.site.glob("*.dist-info"))
        return {one[1].lower(): one[2] for one in found if one}


@pytest.fixture
def made(tmp_path: Path, index: Path) -> Callable[[dict[str, str]], Machine]:
    """Makes a machine that says what it is given."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed beside this Python")
    return lambda says: Machine(tmp_path / "venv", says, index)


@pytest.mark.parametrize(("version", "numpy"), [(NVIDIAS[0], "1.26.4"), (NVIDIAS[1], None)])
def test_on_a_jetson_nvidias_torch_stays_nothing_of_cuda_comes_and_numpy_stays_below_2(
    made: Callable[[dict[str, str]], Machine], version: str, numpy: str | None
) -> None:
    jetson = made(JETSON)
    jetson.has("torch", version)
    if numpy is not None:
        jetson.has("numpy", numpy)  # what is there and fits is left alone; where there is none the constraints choose
    there = jetson.install("music_reclass[all]", *(("-c", str(CONSTRAINTS)) if numpy is None else ()))
    assert (there["torch"], there["numpy"]) == (version, "1.26.4")
    assert {"nvidia_ml_py", "scikit_learn", "onnxruntime"} <= there.keys()
    assert not [name for name in there if name.startswith("nvidia") and name != "nvidia_ml_py"]


def test_on_a_jetson_without_torch_none_is_installed(made: Callable[[dict[str, str]], Machine]) -> None:
    assert "torch" not in made(THOR).install("music_reclass[neural]")


def test_elsewhere_a_torch_before_2_4_is_replaced_which_is_what_the_marker_prevents(
    tmp_path: Path, index: Path
) -> None:
    server = Machine(tmp_path / "venv", SERVER, index)
    server.has("torch", NVIDIAS[0])  # 2.4.0a0 comes before 2.4
    report: dict[str, Any] = json.loads(
        server.pip(
            "install", "-q", "--dry-run", "--report", "-", "--no-index", "--find-links", str(server.index),
            "music_reclass[neural]",
        ).stdout
    )  # fmt: skip
    chosen = {one["metadata"]["name"]: one["metadata"]["version"] for one in report["install"]}
    assert chosen["torch"] == "2.15.0"
    assert "nvidia-cudnn-cu13" in chosen
