"""Late import of optional packages; one that is missing or broken is answered with a sentence and a cure."""

from __future__ import annotations

import importlib
from types import ModuleType

from music_reclass.errors import MissingExtra

_FITTING = "install one that fits this machine"
# What an import says, and what helps; the first that occurs.
_CURES = (
    (("_array_api", "numpy 1.x", "numpy.dtype size changed", "numpy is not available", "numpy.core"),
     "it was built for another NumPy: pip install 'numpy<2'"),
    (("torchaudio", "torchvision"), "a torchaudio that does not fit torch stops it: pip uninstall torchaudio"),
    (("libcusparselt",), "the library cuSPARSELt is missing: install libcusparselt0 from NVIDIA's packages"),
    (("libcudnn",), "the library cuDNN is missing or another version: install the one this torch was built with"),
    (("libcu", "libnv", "libcaffe", "libc10", "libtorch", "undefined symbol", "glibc"), _FITTING),
    (("cannot open shared object", "dll load failed", "library not loaded"), _FITTING),
)  # fmt: skip


def require(module: str, extra: str) -> ModuleType:
    """The imported `module`; MissingExtra names the extra if its top package is not installed, and the cure where it
    is installed and does not load."""
    package = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever the code of another package raises while it loads
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == package:
            raise MissingExtra(absent(package, extra)) from error
        raise MissingExtra(broken(package, error)) from error


def absent(package: str, extra: str) -> str:
    """That `package` is needed, and the command that brings it: on a Jetson the extra does not bring torch."""
    if package == "torch":
        from music_reclass.utils.torch_install import fitting, this_machine

        if (machine := this_machine()).is_jetson:
            sentence, lines = fitting(machine)
            command = f" {lines[0]} (reclass doctor gpu says what else it needs)" if lines else ""
            return f"This needs the package torch. {sentence}{command}"
    return f"This needs the package {package}: pip install 'music_reclass[{extra}]'."


def broken(package: str, error: BaseException) -> str:
    """That `package` is installed and does not work, with what it said and what helps."""
    said = str(error).strip()
    line = said.splitlines()[0][:200] if said else ""
    text = f"{type(error).__name__}: {said}".lower()
    cure = next((cure for signs, cure in _CURES if any(sign in text for sign in signs)), "install it again")
    more = " (reclass doctor gpu prints the command)" if package == "torch" else ""
    return f"The package {package} is installed and does not load ({type(error).__name__}: {line}); {cure}{more}."
