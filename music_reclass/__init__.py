"""Classifies the tracks of a music library by genre, tags them, and can restore every byte."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from music_reclass.api import classify as classify
    from music_reclass.api import open_library as open_library

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The functions of the Python API, imported when they are asked for."""
    if name in ("classify", "open_library"):
        from importlib import import_module

        return getattr(import_module("music_reclass.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
