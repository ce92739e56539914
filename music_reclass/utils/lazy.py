"""Late import of optional packages; a missing one is answered with the name of its extra."""

from __future__ import annotations

import importlib
from types import ModuleType

from music_reclass.errors import MissingExtra


def require(module: str, extra: str) -> ModuleType:
    """The imported `module`; MissingExtra names the extra if its top package is not installed.

    The error of an installed but broken package passes unchanged.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"This needs the package {module.split('.')[0]}: pip install 'music_reclass[{extra}]'."
        ) from error
