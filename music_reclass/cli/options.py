"""The flags that many commands share: those of settings, made from their declarations, and those of writing."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from music_reclass.cli.output import quiet
from music_reclass.config import Secret, declared, load, shown_default
from music_reclass.domain import Outcome, Relation

if TYPE_CHECKING:
    from music_reclass.domain import Track
    from music_reclass.features.decisions import Decisions
    from music_reclass.taxonomy import Taxonomy

Options = TypeVar("Options")
Result = TypeVar("Result")


FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


class Commands(click.Group):
    """A group of commands whose help has the whole first sentence of each; click cuts it at the end of the line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The names with their first sentences."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, one.get_short_help_str(limit=500)) for name, one in found if one is not None and not one.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Choice(NamedTuple):
    """What the user said about writing with -n, -y and --json."""

    dry_run: bool = False
    yes: bool = False
    as_json: bool = False


class Selection(NamedTuple):
    """Which tracks of the library a listing is about; what is empty leaves nothing out."""

    paths: tuple[str, ...] = ()  # absolute; files, or folders with all below them
    genres: tuple[str, ...] = ()  # a genre takes in those below it
    outcomes: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    unwritable: bool = False  # those as well whose genre could not be written, whatever their outcome

    def tracks(self, decisions: Decisions, taxonomy: Taxonomy) -> Iterator[Track]:
        """The tracks, by path. click.UsageError for a genre that the taxonomy does not know."""
        genres = set(map(taxonomy.canonical, self.genres))
        if None in genres:
            unknown = next(name for name in self.genres if taxonomy.canonical(name) is None)
            raise click.UsageError(f"There is no genre {unknown!r}; reclass genres list shows all.")
        for track in decisions.below(self.paths):
            among = track.outcome is not None and track.outcome.value in self.outcomes
            if self.outcomes and not among and not (self.unwritable and track.unwritable):
                continue
            decided = track.decision.genres if track.decision is not None and track.error is None else ()
            if genres:
                known = [genre for one in decided if (genre := taxonomy.canonical(one)) is not None]
                if genres.isdisjoint([*known, *(above for genre in known for above in taxonomy.ancestors(genre))]):
                    continue
            if self.relations and (
                not decided or taxonomy.relation(decided[0], track.tags.genres).value not in self.relations
            ):
                continue
            yield track


def selection_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """PATHS, --genre, --outcome and --relation of a command that lists tracks; it gets them as `selection`."""

    @functools.wraps(command)
    def with_selection(
        *context: Any, paths: tuple[Path, ...], genres: tuple[str, ...], outcomes: tuple[str, ...],
        relations: tuple[str, ...], **given: Any,
    ) -> Any:  # fmt: skip
        places = tuple(os.path.realpath(path) for path in paths)
        return command(*context, selection=Selection(places, genres, outcomes, relations), **given)

    wrapped: Callable[..., Any] = with_selection
    for flag in (
        click.option(
            "--relation", "relations", multiple=True, type=click.Choice([one.value for one in Relation]),
            help="Only tracks whose genre stands so to the one found; may be repeated.",
        ),
        click.option(
            "--outcome", "outcomes", multiple=True, type=click.Choice([one.value for one in Outcome]),
            help="Only tracks with this outcome; may be repeated.",
        ),
        click.option(
            "--genre", "genres", multiple=True, metavar="GENRE",
            help="Only tracks for which this genre, or one below it, was found; may be repeated.",
        ),
        click.argument("paths", nargs=-1, type=click.Path(path_type=Path)),
    ):  # fmt: skip
        wrapped = flag(wrapped)
    return wrapped


def setting_flags(
    *names: str, with_db: bool = True, with_file: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flags of the settings `names`, and --db and --config; the command gets `settings`, all of them, and
    `with_file` as `config_file` the file that --config names."""
    flagged = (*names, "db") if with_db else names

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_settings(*context: Any, config_file: Path | None, **given: Any) -> Any:
            settings = load({name: given.pop(name) for name in flagged}, config_file)
            if with_file:
                given["config_file"] = config_file
            return command(*context, settings=settings, **given)

        wrapped: Callable[..., Any] = click.option(
            "--config", "config_file", type=FILE, help="Another configuration file."
        )(with_settings)
        for name in reversed(flagged):
            wrapped = _flag_of(name)(wrapped)
        return wrapped

    return decorate


def _flag_of(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag of one setting, as `config.Settings` declares it; None where it is not given."""
    setting = declared(name)
    names = setting.metadata["flags"] or ("--" + name.replace("_", "-"),)
    meaning = f"{setting.metadata['meaning'].rstrip('.')} (default: {shown_default(name)})."
    if setting.default is True:
        return click.option(f"{names[0]}/--no-{names[0][2:]}", name, default=None, help=meaning)
    if setting.default is False:
        return click.option(*names, name, is_flag=True, default=None, help=meaning)
    if bare := setting.metadata["bare"]:  # `main.run` puts the value of a bare flag in, as a path may follow it
        return click.option(
            *names, name, type=_type_of(name), is_flag=False, flag_value=bare, metavar=setting.metadata["metavar"],
            help=meaning,
        )  # fmt: skip
    return click.option(*names, name, type=_type_of(name), metavar=setting.metadata["metavar"] or None, help=meaning)


def _type_of(name: str) -> Any:
    """How click reads a setting; whether the value is allowed is for `config.load` to say."""
    setting = declared(name)
    if setting.metadata["choices"]:
        return click.Choice(setting.metadata["choices"])
    if isinstance(setting.default, str | Secret) or setting.metadata["words"]:
        return str
    if isinstance(setting.default, int | float):
        return type(setting.default)
    return FOLDER if setting.metadata["is_folder"] else FILE


def choice_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """-n, -y, -q and --json of a command that writes, which gets them as `choice`."""

    @functools.wraps(command)
    def with_choice(*context: Any, dry_run: bool, yes: bool, no_lines: bool, as_json: bool, **given: Any) -> Any:
        with quiet(no_lines):
            return command(*context, choice=Choice(dry_run, yes, as_json), **given)

    return dry_run_flag(yes_flag(quiet_flag(json_flag(with_choice))))


json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, nothing else.")
dry_run_flag = click.option(
    "-n", "--dry-run", "--pretend", "dry_run", is_flag=True, help="Show what would be written; write no tag."
)
map_flag = click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="SERVER=LOCAL",
    help="A folder of the server and the same here; repeatable.",
)
nodes_map_flag = click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="[NODE:]SERVER=LOCAL",
    help="A folder of the Plex server and the same here; with --ray a folder here and the same on nodes, or on NODE; "
    "repeatable.",
)
force_flag = click.option("--force", is_flag=True, help="Write over a file that is there and was not made by reclass.")
quiet_flag = click.option("-q", "--quiet", "no_lines", is_flag=True, help="Print problems and questions only.")
strict_flag = click.option(
    "--strict", is_flag=True, help="Exit with 1 for files that failed in earlier scans, too; else for new ones only."
)
yes_flag = click.option("-y", "--yes", is_flag=True, help="Write without asking.")


def takes(options: type[Options]) -> Callable[[Callable[[Options], Result]], Callable[..., Result]]:
    """Gives a command its flags as one object of the dataclass `options`; stands below the flags."""

    def decorated(command: Callable[[Options], Result]) -> Callable[..., Result]:
        @functools.wraps(command)
        def call(**flags: Any) -> Result:
            return command(options(**flags))

        return call

    return decorated


def command_line() -> str:
    """The command that runs, as somebody would write it in a shell; `the same command` where none does."""
    import shlex

    from click.core import ParameterSource

    context = click.get_current_context(silent=True)
    if context is None:
        return "the same command"
    words = context.command_path.split()
    for parameter in context.command.params:
        name, value = parameter.name or "", context.params.get(parameter.name or "")
        if context.get_parameter_source(name) != ParameterSource.COMMANDLINE:
            continue
        flag = max(parameter.opts, key=len)
        given = value if isinstance(value, tuple) else (value,)
        for one in given:
            words += [flag] if isinstance(one, bool) else [flag, str(one)]
    return shlex.join(words)
