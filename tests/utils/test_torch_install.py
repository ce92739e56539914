"""The torch that fits a machine, and the commands that install it, on machines of all sorts that were made up."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from music_reclass.utils import torch_install
from music_reclass.utils.torch_install import Machine, broken, cure, fitting, missing, replaced, this_machine

ORIN = Machine(
    processor="aarch64", kernel="5.15.148-tegra", python=(3, 10), board="NVIDIA Jetson Orin NX", jetpack="6.2"
)
THOR = Machine(processor="aarch64", kernel="6.8.12-tegra", board="NVIDIA Jetson AGX Thor", jetpack="7")
MAC = Machine(system="Darwin", processor="arm64", kernel="24.1.0")


def rtx(driver: str) -> Machine:
    return Machine(driver=driver, card=True)


def jetson(jetpack: str, python: tuple[int, int] = (3, 10)) -> Machine:
    return Machine(
        processor="aarch64", kernel="x-tegra", python=python, board="NVIDIA Jetson Orin Nano", jetpack=jetpack
    )


@pytest.mark.parametrize(
    ("jetpack", "wheel", "needs_cusparselt"),
    [
        ("6.0", "v60/pytorch/torch-2.4.0a0+07cecf4168.nv24.05", False),
        ("6.1", "v61/pytorch/torch-2.5.0a0+872d972e41.nv24.08", True),
        ("6.2", "v61/pytorch/torch-2.5.0a0+872d972e41.nv24.08", True),
        ("6", "v61/pytorch/torch-2.5.0a0+872d972e41.nv24.08", True),
        ("", "v61/pytorch/torch-2.5.0a0+872d972e41.nv24.08", True),
    ],
)
def test_a_jetson_with_jetpack_6_gets_nvidias_wheel_and_a_numpy_it_works_with(
    jetpack: str, wheel: str, needs_cusparselt: bool
) -> None:
    first, *libraries = fitting(jetson(jetpack)).lines
    assert first.startswith(f"{sys.executable} -m pip install 'numpy<2' https://")
    assert wheel in first
    assert any("libcusparselt0" in line for line in libraries) == needs_cusparselt


def test_a_jetson_with_jetpack_7_gets_the_torch_for_cuda_13() -> None:
    assert fitting(THOR).lines == (
        f"{sys.executable} -m pip install 'torch>=2.9' --index-url https://download.pytorch.org/whl/cu130",
    )


def test_jetpack_5_is_said_to_be_too_old_and_nothing_is_installed() -> None:
    sentence, lines = fitting(jetson("5"))
    assert "JetPack 5 is too old: its torch is for Python 3.8" in sentence
    assert lines == ()


def test_a_python_that_nvidias_wheel_is_not_for_is_named() -> None:
    assert "It is for Python 3.10, and this is 3.12" in fitting(jetson("6.2", (3, 12))).sentence
    assert "3.12" not in fitting(jetson("6.2")).sentence


@pytest.mark.parametrize(
    ("driver", "index"),
    [("580.65.06", ""), ("610.1", ""), ("570.133", "/cu128"), ("560.35.03", "/cu126"), ("525.1", "/cu126")],
)
def test_the_driver_decides_for_which_cuda_torch_is_installed(driver: str, index: str) -> None:
    (line,) = fitting(rtx(driver)).lines
    assert line.endswith(f"https://download.pytorch.org/whl{index}" if index else "'torch>=2.4'")


def test_a_driver_too_old_for_any_torch_is_to_be_updated() -> None:
    sentence, lines = fitting(rtx("470.256.02"))
    assert "470.256.02 is too old" in sentence
    assert lines == ()


def test_a_machine_without_a_card_gets_the_torch_without_cuda() -> None:
    (line,) = missing(Machine()).lines
    assert line.endswith("--index-url https://download.pytorch.org/whl/cpu")
    assert missing(Machine()).sentence.startswith("There is no torch here.")


def test_a_card_without_its_driver_is_told_apart_from_no_card() -> None:
    assert "nvidia-smi must answer" in fitting(Machine(card=True)).sentence


def test_a_mac_gets_the_ordinary_torch_and_an_intel_mac_none() -> None:
    assert fitting(MAC).lines == (f"{sys.executable} -m pip install 'torch>=2.4'",)
    sentence, lines = fitting(Machine(system="Darwin", processor="x86_64"))
    assert "Intel Macs" in sentence
    assert lines == ()


def test_the_torch_of_the_package_index_on_a_jetson_is_replaced() -> None:
    sentence, lines = cure(ORIN, "2.10.0", "12.8", ())
    assert sentence.startswith("torch 2.10.0 cannot use the GPU of this Jetson. NVIDIA Jetson Orin NX with JetPack 6.2")
    assert lines[0] == f"{sys.executable} -m pip uninstall -y torch"
    assert lines[1:] == fitting(ORIN).lines


def test_a_torch_that_sees_the_gpu_of_a_jetson_and_has_no_kernels_for_it_is_replaced() -> None:
    sentence, lines = cure(ORIN, "2.10.0", "12.8", ((8, 7),), trouble="Orin is not used: no kernels for 8.7.")
    assert sentence.startswith("torch 2.10.0 cannot use the GPU of this Jetson.")
    assert lines[1:] == fitting(ORIN).lines


def test_nvidias_own_torch_without_a_gpu_is_not_replaced() -> None:
    sentence, lines = cure(ORIN, "2.5.0a0+872d972e41.nv24.08", "12.6", ())
    assert "--runtime nvidia" in sentence
    assert lines == ()


def test_a_torch_without_cuda_beside_a_driver_is_replaced_by_one_for_that_driver() -> None:
    sentence, lines = cure(rtx("560.35.03"), "2.13.0+cpu", None, ())
    assert "driver 560.35.03 is here, but torch 2.13.0+cpu is one for processors alone" in sentence
    assert (lines[0].split()[-3:], lines[1].split("/")[-1]) == (["uninstall", "-y", "torch"], "cu126")


def test_a_driver_too_old_for_the_cuda_of_torch_is_named_with_the_one_it_needs() -> None:
    sentence, lines = cure(rtx("560.35.03"), "2.15.0", "13.2", ())
    assert "560.35.03 is too old for CUDA 13.2 of torch 2.15.0, which needs 580 or newer" in sentence
    assert lines[-1].endswith("/cu126")
    assert "neither is too old" in cure(rtx("560.35.03"), "2.8.0", "12.6", ()).sentence


def test_a_card_older_than_the_kernels_of_torch_gets_the_torch_that_has_them() -> None:
    sentence, lines = cure(rtx("580.1"), "2.15.0", "13.2", ((8, 9), (6, 1)))
    assert "no kernels for a card of compute capability 6.1" in sentence
    assert lines[-1].endswith("/cu126")
    assert cure(rtx("580.1"), "2.9.0", "12.6", ((6, 1),)) == ("", ())


@pytest.mark.parametrize(
    ("machine", "version", "cuda", "capabilities"),
    [
        (rtx("580.1"), "2.15.0", "13.2", ((8, 9),)),
        (ORIN, "2.5.0a0+872d972e41.nv24.08", "12.6", ((8, 7),)),
        (MAC, "2.15.0", None, ((0, 0),)),
        (Machine(), "2.15.0+cpu", None, ()),
    ],
)
def test_where_the_card_is_used_or_there_is_none_nothing_is_amiss(machine, version, cuda, capabilities) -> None:
    assert cure(machine, version, cuda, capabilities) == ("", ())


def test_a_mac_whose_torch_finds_no_gpu_is_told_from_when_on_it_would() -> None:
    assert "macOS 14" in cure(MAC, "2.15.0", None, ()).sentence


def test_nvidias_torch_that_does_not_load_gets_what_it_needs_and_is_not_fetched_again() -> None:
    sentence, lines = broken(ORIN, "2.5.0a0+872d972e41.nv24.08", "The package torch does not load.")
    assert sentence.startswith("The package torch does not load. It is NVIDIA's")
    assert lines[0].endswith("install 'numpy<2'")
    assert not any("torch-2.5" in line or "uninstall" in line for line in lines)
    assert broken(rtx("580.1"), "2.15.0", "Why.") == replaced(rtx("580.1"), "Why.")


def files(root: Path, **contents: str) -> Path:
    for name, text in contents.items():
        path = root / name.replace("__", "/").replace("_dash_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("line", "jetpack"),
    [
        ("# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64", "5"),
        ("# R36 (release), REVISION: 3.0, GCID: 36923193, BOARD: generic, EABI: aarch64", "6.0"),
        ("# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic, EABI: aarch64", "6.1"),
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64", "6.2"),
        ("# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64", "7"),
        ("# R39 (release), REVISION: 2.1, GCID: 1, BOARD: generic, EABI: aarch64", "7"),
    ],
)
def test_jetpack_is_told_by_the_release_of_jetson_linux(line: str, jetpack: str, tmp_path: Path) -> None:
    assert this_machine(root=files(tmp_path, etc__nv_tegra_release=line)).jetpack == jetpack


def test_jetpack_is_told_by_its_package_else_by_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = (
        "Package: nvidia-jetpack-runtime\nVersion: 5.0\n\nPackage: nvidia-jetpack\nStatus: ok\nVersion: 6.2.1+b38\n"
    )
    assert this_machine(root=files(tmp_path / "a", var__lib__dpkg__status=status)).jetpack == "6.2"
    assert this_machine(root=tmp_path / "none").jetpack == ""
    monkeypatch.setattr(platform, "release", lambda: "5.15.136-tegra")
    in_a_container = this_machine(root=tmp_path / "none")
    assert (in_a_container.jetpack, in_a_container.is_jetson, in_a_container.board) == ("6", True, "")


def test_a_jetson_is_told_by_its_device_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: "6.14.0-custom")
    model = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0"
    machine = this_machine(root=files(tmp_path, **{"proc__device_dash_tree__model": model}))
    assert machine.is_jetson
    assert machine.board == model.rstrip("\0")


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  560.35.03  Fri Aug 16 21:39:15 UTC 2024",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  (dvs-builder@U16)",
    ],
)
def test_the_driver_is_read_where_nvml_says_nothing(line: str, tmp_path: Path) -> None:
    root = files(tmp_path, proc__driver__nvidia__version=line)
    assert this_machine(root=root).driver == "560.35.03"
    assert this_machine("570.1", root).driver == "570.1"


def test_a_card_is_seen_without_a_driver_and_another_makers_is_none(tmp_path: Path) -> None:
    def card(vendor: str, kind: str) -> bool:
        folder = tmp_path / vendor / kind
        files(folder, sys__bus__pci__devices__a__vendor=f"{vendor}\n", sys__bus__pci__devices__a__class=f"{kind}\n")
        return this_machine(root=folder).card

    assert card("0x10de", "0x030000")
    assert not card("0x10de", "0x040300")  # the sound of a card
    assert not card("0x1002", "0x030000")
    assert this_machine(root=files(tmp_path / "wsl", dev__dxg="")).card


def test_a_path_with_a_space_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_install.sys, "executable", "/opt/my music/python")
    assert torch_install.pip_install("torch").startswith("'/opt/my music/python' -m pip install torch")
