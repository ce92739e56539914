"""Which torch fits this machine, what is wrong with the one that is installed, and the lines that mend it."""

from __future__ import annotations

import platform
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_PYTORCH = "https://download.pytorch.org/whl"
_NVIDIA = "https://developer.download.nvidia.com/compute/redist/jp"
_JETPACK_60 = f"{_NVIDIA}/v60/pytorch/torch-2.4.0a0+07cecf4168.nv24.05.14710581-cp310-cp310-linux_aarch64.whl"
_JETPACK_61 = f"{_NVIDIA}/v61/pytorch/torch-2.5.0a0+872d972e41.nv24.08.17622132-cp310-cp310-linux_aarch64.whl"
_KEYRING = "https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2204/arm64/cuda-keyring_1.1-1_all.deb"
# From JetPack 6.1 on torch is linked against cuSPARSELt, which JetPack does not bring.
_CUSPARSELT = (
    f"wget {_KEYRING}",
    "sudo dpkg -i cuda-keyring_1.1-1_all.deb",
    "sudo apt-get update && sudo apt-get install -y libcusparselt0",
)
# The oldest driver of a CUDA release, NVIDIA's table of minor version compatibility.
_OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
# Newest first: the oldest driver, and the index whose torch runs with it.
_INDEXES = ((580, ""), (570, "cu128"), (525, "cu126"))
_FIRST_CARDS = (7, 5)  # Turing; torch for CUDA 12.8 and later has no kernels for older ones (pytorch issue 157517)


class Advice(NamedTuple):
    """A sentence, and the commands that follow from it; both are empty where nothing is amiss."""

    sentence: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides which torch fits. Facts that are not known are empty."""

    system: str = "Linux"  # Darwin: macOS
    processor: str = "x86_64"
    kernel: str = ""  # uname -r
    python: tuple[int, ...] = (3, 12)
    board: str = ""  # what a single-board computer calls itself
    jetpack: str = ""  # 5, 6.0, 6.1, 6.2, 7; 6 where only that is known
    driver: str = ""  # NVIDIA's, such as 560.35.03
    card: bool = False  # there is a card of NVIDIA's

    @property
    def is_jetson(self) -> bool:
        """By its name or its kernel, which a container has too; the marker in pyproject.toml goes by the kernel."""
        return "Jetson" in self.board or "tegra" in self.kernel

    @property
    def title(self) -> str:
        """Board and JetPack, as far as they are known."""
        return (self.board or "This Jetson") + (f" with JetPack {self.jetpack}" if self.jetpack else "")


def this_machine(driver: str = "", root: Path = Path("/")) -> Machine:
    """The facts of this machine; `driver` is what NVML says of it."""
    driver = driver or _found(r"Kernel Module.*?\s(\d+\.\d[\d.]*)", root / "proc/driver/nvidia/version")
    return Machine(
        system=platform.system(),
        processor=platform.machine(),
        kernel=platform.release(),
        python=sys.version_info[:2],
        board=_found(r"([^\0\n]+)", root / "proc/device-tree/model"),
        jetpack=_jetpack(root),
        driver=driver,
        card=bool(driver) or (root / "dev/dxg").exists() or _has_card(root / "sys/bus/pci/devices"),
    )


def _jetpack(root: Path) -> str:
    """By Jetson Linux, else by the package of that name, else (in a container) by the kernel; empty elsewhere."""
    linux = re.search(r"R(\d+).*?REVISION: (\d+)\.(\d+)", _text(root / "etc/nv_tegra_release"))
    if linux:
        release, revision, patch = (int(part) for part in linux.groups())
        if release == 36:
            return "6.0" if revision < 4 else "6.1" if (revision, patch) < (4, 3) else "6.2"
        return "7" if release > 36 else "5" if release == 35 else "4"
    package = r"Package: nvidia-jetpack\n(?:(?!\n).+\n)*?Version: (\d+\.\d+)"
    if version := _found(package, root / "var/lib/dpkg/status"):
        return version if version.startswith("6") else version[0]
    kernels = {"4.9": "4", "5.10": "5", "5.15": "6", "6.8": "7"}
    kernel = platform.release()
    return kernels.get(".".join(kernel.split(".")[:2]), "") if "tegra" in kernel else ""


def _has_card(devices: Path) -> bool:
    return any(
        _text(vendor).strip() == "0x10de" and _text(vendor.with_name("class")).startswith("0x03")
        for vendor in devices.glob("*/vendor")
    )


def _found(pattern: str, path: Path) -> str:
    found = re.search(pattern, _text(path))
    return found[1].strip() if found else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def pip_install(*arguments: str) -> str:
    """The command that installs into the environment this program runs in."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def fitting(machine: Machine) -> Advice:
    """The torch that fits the machine, and the commands that install it."""
    if machine.is_jetson:
        return _for_jetson(machine)
    if machine.system == "Darwin":
        if machine.processor == "arm64":
            return Advice("On a Mac the ordinary torch is the right one.", (pip_install("torch>=2.4"),))
        return Advice(
            "PyTorch has made none for Intel Macs since 2.2, and the networks need 2.4; what needs no torch works "
            "(on an Apple chip this says that Python itself is one for Intel: install one for arm64)."
        )
    if not machine.driver:
        if machine.card:
            return Advice(
                "There is an NVIDIA card, but no driver could be asked: nvidia-smi must answer before torch can use it "
                "(docs/how-to/rtx.md).",
                (pip_install("torch>=2.4"),),
            )
        return Advice(
            "There is no NVIDIA card here: the torch for processors is the smallest.",
            (pip_install("torch>=2.4", "--index-url", f"{_PYTORCH}/cpu"),),
        )
    for oldest, index in _INDEXES:
        if _major(machine.driver) >= oldest:
            place = ("--index-url", f"{_PYTORCH}/{index}") if index else ()
            return Advice(f"The NVIDIA driver is {machine.driver}.", (pip_install("torch>=2.4", *place),))
    return Advice(f"The NVIDIA driver {machine.driver} is too old for any torch that fits: update it to 580 or newer.")


def _for_jetson(machine: Machine) -> Advice:
    if machine.jetpack in ("4", "5"):
        return Advice(
            f"{machine.title} is too old: its torch is for Python 3.8 or older, and this program needs 3.10; "
            "JetPack 6 is the first that has both (docs/how-to/jetson.md)."
        )
    if machine.jetpack == "7":
        line = pip_install("torch>=2.9", "--index-url", f"{_PYTORCH}/cu130")
        return Advice(f"{machine.title} runs the torch for CUDA 13 of ordinary ARM machines.", (line,))
    sentence = f"{machine.title} needs NVIDIA's torch, which pip does not find by itself; it wants a NumPy below 2."
    if machine.python != (3, 10):
        used = ".".join(map(str, machine.python))
        sentence += f" It is for Python 3.10, and this is {used}: install reclass into an environment of python3.10."
    wheel = _JETPACK_60 if machine.jetpack == "6.0" else _JETPACK_61
    return Advice(sentence, (pip_install("numpy<2", wheel), *(() if machine.jetpack == "6.0" else _CUSPARSELT)))


def missing(machine: Machine) -> Advice:
    """What to do where there is no torch."""
    sentence, lines = fitting(machine)
    return Advice(f"There is no torch here. {sentence}", lines)


def replaced(machine: Machine, why: str) -> Advice:
    """The commands that replace an installed torch by one that fits, after the sentence `why`."""
    sentence, lines = fitting(machine)
    return Advice(f"{why} {sentence}", (_removal(), *lines) if lines else ())


def _removal() -> str:
    """Without it pip would find its requirement satisfied by the very torch that does not fit."""
    return shlex.join([sys.executable, "-m", "pip", "uninstall", "-y", "torch"])


def broken(machine: Machine, version: str, why: str) -> Advice:
    """What to do where torch `version` is installed and does not load; `why` is the sentence that says so."""
    if machine.is_jetson and ".nv" in version:
        libraries = () if machine.jetpack == "6.0" else _CUSPARSELT
        return Advice(
            f"{why} It is NVIDIA's for this Jetson, and what it needs is:", (pip_install("numpy<2"), *libraries)
        )
    return replaced(machine, why)


def cure(
    machine: Machine, version: str, cuda: str | None, cards: tuple[tuple[int, int], ...], *, trouble: str = ""
) -> Advice:
    """What to do where torch `version` for `cuda` does not use a card that there is.

    `cards` are the compute capabilities of those it sees; `trouble` says why one of them does not compute.
    """
    built = tuple(int(part) for part in (cuda or "0").split(".")[:2])
    if cards and not machine.is_jetson and (0, 0) < min(cards) < _FIRST_CARDS and built >= (12, 8):
        return Advice(
            f"torch {version} for CUDA {cuda} has no kernels for a card of compute capability "
            f"{'.'.join(map(str, min(cards)))}; that for CUDA 12.6 has.",
            (_removal(), pip_install("torch>=2.4", "--index-url", f"{_PYTORCH}/cu126")),
        )
    if cards and not trouble:
        return Advice()
    if machine.is_jetson:
        if ".nv" in version:
            return Advice(
                f"{machine.title}: torch {version} is NVIDIA's, yet it cannot use the GPU. A container must be started "
                "with --runtime nvidia; outside of one, your user must be in the groups video and render."
            )
        return replaced(machine, f"torch {version} cannot use the GPU of this Jetson.")
    if machine.system == "Darwin":
        if machine.processor != "arm64" or trouble:
            return Advice()
        return Advice(
            f"torch {version} finds no Apple GPU, which recent ones use from macOS 14 on (docs/how-to/mac.md)."
        )
    if not machine.card:
        return Advice()
    if not machine.driver:
        return fitting(machine)
    if cuda is None:
        return replaced(
            machine, f"NVIDIA driver {machine.driver} is here, but torch {version} is one for processors alone."
        )
    oldest = _OLDEST_DRIVER.get(built[0], 0)
    if _major(machine.driver) < oldest:
        return replaced(
            machine,
            f"NVIDIA driver {machine.driver} is too old for CUDA {cuda} of torch {version}, which needs {oldest} or "
            "newer: update the driver, or take a torch for it.",
        )
    return Advice(
        f"NVIDIA driver {machine.driver} is here, but torch {version} cannot use a card with it, although neither is "
        "too old: see what nvidia-smi says (after an update of the driver the machine must be restarted)."
    )


def _major(driver: str) -> int:
    found = re.match(r"\d+", driver)
    return int(found[0]) if found else 0
