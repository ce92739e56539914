"""`config` shows every setting and where it comes from; `completion` completes commands and flags in a shell."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from music_reclass.cli.options import Commands, json_flag, setting_flags
from music_reclass.cli.output import emit, plain, printable, say, shorten_home
from music_reclass.config import Secret, Settings, default_file, origins, shown_default

_ALL = tuple(setting.name for setting in fields(Settings) if setting.name not in ("db", "plex_token", "after_write"))


@click.command()
@click.option("--changed", is_flag=True, help="Only settings that are not at their default.")
@setting_flags(*_ALL, with_file=True)
@json_flag
@click.pass_context
def config(
    context: click.Context, /, changed: bool, as_json: bool, settings: Settings, config_file: Path | None, **_: Any
) -> None:
    """Show every setting, its value, and where it comes from: default, configuration file, variable or flag."""
    given = {name: value for name, value in context.params.items() if name in {*_ALL, "db"}}
    sources = origins(given, config_file)
    if not as_json:
        file = config_file or default_file()
        state = "" if file.is_file() else "  (not there: everything may stand in it)"
        say("file", f"{printable(shorten_home(str(file)))}{state}")
    for setting in fields(Settings):
        source = sources[setting.name]
        if changed and source == "default":
            continue
        value = getattr(settings, setting.name)
        if isinstance(value, Secret):
            value = "<hidden>" if value else ""
        if isinstance(value, Path):
            value = str(value)
        if setting.name == "plex_url":
            value = _URL_SECRETS.sub("<hidden>", value)
        text = shown_default(setting.name) if source == "default" else _in_words(value)
        line = f"{setting.name:<18} {printable(text):<40} {printable(shorten_home(source))}"
        emit({"setting": setting.name, "value": value, "source": source}, line, as_json)


# What a URL may hold of secrets: user and password before the host, and everything after its path.
_URL_SECRETS = re.compile(r"(?<=//)[^/?#]*(?=@)|(?<=[?#]).+", re.DOTALL)


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


_PLACES = {  # where shells look for completions of a user, below the home folder
    "bash": ".local/share/bash-completion/completions/reclass",
    "zsh": ".zfunc/_reclass",
    "fish": ".config/fish/completions/reclass.fish",
}
_NEXT = {
    "bash": "It works in new shells where the package bash-completion is installed.",
    "zsh": "It works in new shells with these lines in ~/.zshrc: fpath+=~/.zfunc; autoload -Uz compinit; compinit",
    "fish": "It works in new shells.",
}


@click.group(cls=Commands)
def completion() -> None:
    """Complete commands and flags with the Tab key in bash, zsh or fish."""


@completion.command()
@click.argument("shell", type=click.Choice(list(_PLACES)))
def show(shell: str) -> None:
    """Print the completion script of SHELL."""
    plain(_script(shell))


@completion.command()
@click.argument("shell", type=click.Choice(list(_PLACES)), required=False)
def install(shell: str | None) -> None:
    """Put the completion script of SHELL (default: that of $SHELL) where the shell looks for it."""
    from music_reclass.cli.output import write_file
    from music_reclass.errors import UsageError

    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    if name not in _PLACES:
        raise UsageError(f"Name the shell: reclass completion install {'|'.join(_PLACES)}.")
    target = Path.home() / _PLACES[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    write_file(target, _script(name) + "\n", force=True)
    say("installed", printable(shorten_home(str(target))))
    plain(_NEXT[name])


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class

    from music_reclass.cli.main import cli  # the whole program: main knows us by name only

    made = get_completion_class(shell)
    writer = made(cli, {}, "reclass", "_RECLASS_COMPLETE") if made is not None else None
    return "" if writer is None else writer.source_template % writer.source_vars()
