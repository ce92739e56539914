"""Writes one setting into the configuration file and leaves every other line of it as it is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path


def remember(file: Path, name: str, value: str) -> None:
    """Set the top-level setting `name` to the text `value`; UsageError where the file cannot be written."""
    from music_reclass.errors import UsageError

    line = f"{name} = {json.dumps(value, ensure_ascii=False)}"
    try:
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        lines = old.splitlines()
        tables = next((number for number, text in enumerate(lines) if text.lstrip().startswith("[")), len(lines))
        place = next((n for n in range(tables) if re.match(rf"\s*{re.escape(name)}\s*=", lines[n])), None)
        lines[tables if place is None else place : tables if place is None else place + 1] = [line]
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.part")
        unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if file.exists():
            os.chmod(unfinished, file.stat().st_mode & 0o777)
        unfinished.replace(file)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"the setting {name} cannot be written to {file} ({error}); write the line {line}") from error
