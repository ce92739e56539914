"""Shared flags reach commands as typed values."""

import click

from music_reclass.cli.options import Choice, Commands, choice_flags, command_line, map_flag, setting_flags
from music_reclass.config import Settings


def test_what_was_said_about_writing_is_one_value() -> None:
    found = []

    @click.command()
    @choice_flags
    def command(choice: Choice) -> None:
        found.append(choice)

    command.main([], standalone_mode=False)
    command.main(["-n", "--json"], standalone_mode=False)
    command.main(["-y"], standalone_mode=False)
    assert found == [Choice(), Choice(dry_run=True, as_json=True), Choice(yes=True)]


def test_the_help_of_a_group_has_the_whole_first_sentence_of_each_command() -> None:
    from click.testing import CliRunner

    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    def weigh() -> None:
        """Weigh every file of the library, with its cover, and say by which share it grew since the last time.

        More.
        """

    said = " ".join(CliRunner().invoke(group, ["--help"]).output.split())
    assert "weigh Weigh every file of the library, with its cover, and say by which share it grew" in said
    assert "..." not in said.partition("Commands")[2]


def test_flags_of_settings_go_with_arguments_context_and_flags_of_the_command() -> None:
    found = []

    @click.command()
    @click.argument("name")
    @map_flag
    @choice_flags
    @setting_flags("plex_library")
    @click.pass_context
    def command(context: click.Context, name: str, pairs: tuple[str, ...], choice: Choice, settings: Settings) -> None:
        found.append((context.info_name, name, pairs, choice.yes, settings.plex_library))

    command.main(["x", "--map", "a=b", "-y", "--library", "Music"], "prog", standalone_mode=False)
    assert found == [("prog", "x", ("a=b",), True, "Music")]


def test_the_command_that_runs_is_written_as_somebody_would_write_it() -> None:
    found = []

    @click.command()
    @click.option("--data")
    @click.option("--seed", default=0)
    @click.option("-n", "--roots", is_flag=True)
    @map_flag
    def command(data: str, seed: int, roots: bool, pairs: tuple[str, ...]) -> None:
        found.append(command_line())

    command.main(["--data", "My Music", "-n", "--map", "a=b", "--map", "c=d"], "reclass x", standalone_mode=False)
    command.main([], "reclass x", standalone_mode=False)
    assert found == ["reclass x --data 'My Music' --roots --map a=b --map c=d", "reclass x"]
    assert command_line() == "the same command"
