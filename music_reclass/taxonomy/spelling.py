"""Genre names as people type them: the key under which spellings are equal, and what is no name at all."""

from __future__ import annotations

import re
import unicodedata

SEPARATORS = ";/,|\\\0"
"""Characters that some tag reader takes for the end of a value (ID3v2.3, Navidrome, LMS, Jellyfin)."""

_SEPARATOR_RUN = re.compile(r"[;/,|\\\0、]+")
_AND = re.compile(r"[&+]|(?<=\w)\s*['’ ]n['’ ]\s*(?=\w)")
_UNDECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i"})
_URL = re.compile(
    r"\w+://|^www\.|^(?:[\w-]+\.)+(?:com|net|org|info|biz|ru|de|fr|uk|pl|nl|it|es|br|io|fm|me|tv|cc|ws|to)(?:/\S*)?$",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"^\S+@\S+\.\w+$")


def key(name: str) -> str:
    """What is left of `name` when spelling no longer matters.

    Case, width, accents, spaces, hyphens and punctuation go; `&`, `+` and `'n'` become "and". A separator stays,
    as `/`: "Folk/Rock" is two names, "Folk-Rock" and "folk rock" are one.
    """
    text = unicodedata.normalize("NFKD", name).casefold()
    text = "".join(char for char in text if not unicodedata.combining(char)).translate(_UNDECOMPOSED)
    text = _SEPARATOR_RUN.sub("/", _AND.sub(" and ", text))
    return "/".join(part for part in ("".join(filter(str.isalnum, piece)) for piece in text.split("/")) if part)


def has_separator(name: str) -> bool:
    """Whether some tag reader would take `name` for several values."""
    return any(char in SEPARATORS for char in name)


def says_nothing(name: str) -> bool:
    """Whether `name` cannot be a genre whatever the tree: no letters, one letter, a URL, an e-mail address."""
    letters = [char for char in name if char.isalpha()]
    if not letters or (len(letters) == 1 and letters[0].isascii() and len(key(name)) == 1):
        return True
    text = name.strip()
    return bool(_URL.search(text) or _EMAIL.match(text))
