"""Settings: who overrides whom, and what a wrong word gets."""

import json
import os
from pathlib import Path

import click
import pytest

from music_reclass.cli.options import setting_flags
from music_reclass.config import PROFILES, Settings, declared, load, seconds_of, usable_cores
from music_reclass.domain import OnExisting
from music_reclass.errors import UsageError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, 'jobs = 2\ntimeout = 5\non_existing = "keep"\n')
    settings = load({"jobs": 4, "timeout": None}, file, {"RECLASS_JOBS": "3", "RECLASS_ON_EXISTING": "merge"})
    assert (settings.jobs, settings.timeout, settings.on_existing) == (4, 5.0, "merge")
    assert settings.max_genres == Settings().max_genres


def test_an_unknown_setting_is_named_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'job'; did you mean jobs"):
        load({}, written(tmp_path, "job = 2\n"), {})


def test_a_word_that_is_no_choice_is_named_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'all'; choose one of keep, replace-junk"):
        load({}, written(tmp_path, "on_existing = 'all'"), {})


@pytest.mark.parametrize("text", ["jobs = 'many'", "album = 'perhaps'", "stages = 3", "jobs = true"])
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="does not fit"):
        load({}, written(tmp_path, text), {})


def test_a_broken_or_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load({}, written(tmp_path, "jobs = = 2"), {})
    with pytest.raises(UsageError, match="does not exist"):
        load({}, tmp_path / "absent.toml", {})


def test_booleans_and_paths_come_from_words(tmp_path: Path) -> None:
    settings = load({}, written(tmp_path, ""), {"RECLASS_ALBUM": "no", "RECLASS_DB": "~/x.db"})
    assert settings.album is False
    assert settings.database == Path("~/x.db").expanduser()


@pytest.mark.parametrize("name", ["auto", "mps", "cuda", "cuda:1", "cpu", "cpu,cpu", "cuda:0,cuda:1", "cuda:0, cuda:2"])
def test_a_device_or_a_list_of_them_is_named_as_torch_names_it(name: str) -> None:
    assert load({"device": name}, None, {}).device == name


@pytest.mark.parametrize("name", ["", "gpu", "cuda:0,", "cuda,cuda:1", "auto,cpu", "cpu,cuda:0", "cuda:a", "CUDA"])
def test_no_device_and_no_list_of_them_is_refused_before_any_work(name: str) -> None:
    with pytest.raises(UsageError, match="its values are: Where networks run: auto, cpu"):
        load({"device": name}, None, {})


@pytest.mark.parametrize("size", ["", "4GiB", "4g", "512 MiB", "4096", "0.5", ".5", "50%", "1.5GB"])
def test_an_amount_of_memory_is_written_as_people_write_it(size: str) -> None:
    assert load({"gpu_memory": size}, None, {}).gpu_memory == size


@pytest.mark.parametrize("size", ["4xx", "-1", "lots", "4 GiB of it", "G"])
def test_what_is_no_amount_of_memory_is_refused_before_any_work_and_without_a_card(size: str) -> None:
    with pytest.raises(UsageError, match="its values are: How much of the card networks may take: 4GiB"):
        load({"gpu_memory": size}, None, {})


@pytest.mark.parametrize(("said", "jobs"), [("auto", 0), ("AUTO", 0), ("3", 3), (3, 3)])
def test_a_number_may_have_a_word_that_stands_for_it(said: object, jobs: int, tmp_path: Path) -> None:
    assert load({"jobs": said}, None, {}).jobs == jobs
    (tmp_path / "config.toml").write_text(f"jobs = {json.dumps(said)}")
    assert load({}, tmp_path / "config.toml", {}).jobs == jobs
    with pytest.raises(UsageError, match="'many'"):
        load({"jobs": "many"}, None, {})


@pytest.mark.parametrize(
    "text",
    ["timeout = 0", "timeout = nan", "timeout = inf", "jobs = -3", "max_genres = 0", "max_tracks = -1", "windows = 0"],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="is the least"):
        load({}, written(tmp_path, text), {})


def test_a_number_beyond_the_most_is_refused(tmp_path: Path) -> None:
    assert load({"windows": 5}, written(tmp_path, ""), {}).windows == 5
    with pytest.raises(UsageError, match="5 is the most"):
        load({"windows": 6}, written(tmp_path, ""), {})


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("30m", 1800), ("90s", 90), ("1h30m", 5400), ("1.5 h", 5400), ("1D", 86400)]
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["soon", "90", "2 weeks", "0s", "-1h", "1h and a bit"])
def test_what_is_no_length_of_time_is_refused_when_the_settings_are_read(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="no length of time"):
        load({}, written(tmp_path, f"max_time = '{text}'"), {})


def test_a_setting_is_declared_once_and_its_flag_offers_what_it_allows() -> None:
    for name, choices in (
        ("on_existing", [word.value for word in OnExisting]),
        ("profile", list(PROFILES)),
        ("precision", ["auto", "fp32", "bf16", "fp16"]),
    ):

        @click.command()
        @setting_flags(name)
        def command(settings: Settings) -> None: ...

        (flag,) = [option for option in command.params if option.name == name]
        assert isinstance(flag.type, click.Choice)
        assert list(flag.type.choices) == list(declared(name).metadata["choices"])
        assert set(flag.type.choices) == set(choices)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ("replace-junk", True, False, 0)),
        (["--on-existing", "merge", "--no-album", "--preserve-mtime", "-j", "3"], ("merge", False, True, 3)),
    ],
)
def test_flags_reach_the_settings(words: list[str], found: tuple[object, ...]) -> None:
    seen = []

    @click.command()
    @setting_flags("on_existing", "album", "preserve_mtime", "jobs")
    def command(settings: Settings) -> None:
        seen.append((settings.on_existing, settings.album, settings.preserve_mtime, settings.jobs))

    command.main(words, standalone_mode=False)
    assert seen == [found]


def test_every_setting_can_have_a_flag() -> None:
    @click.command()
    @setting_flags(*(name for name in Settings.__dataclass_fields__ if name != "db"))
    def command(settings: Settings) -> None: ...

    assert {option.name for option in command.params} == {*Settings.__dataclass_fields__, "config_file"}
    assert all(option.help.endswith(").") for option in command.params if option.name != "config_file")


def test_a_prior_may_be_a_word_or_a_table(tmp_path: Path) -> None:
    file = written(tmp_path, "[prior]\nJazz = 0.7\n'Hip-Hop' = 1\n")
    assert load({}, file, {}).prior == "Jazz=0.7,Hip-Hop=1"
    assert load({"prior": "library"}, file, {}).prior == "library"
    assert load({}, None, {}).prior == ""
    with pytest.raises(UsageError, match="prior"):
        load({}, written(tmp_path, "[prior]\nJazz = 'much'\n"), {})


def test_an_exit_policy_is_one_of_its_words_or_a_confidence(tmp_path: Path) -> None:
    for word in ("certified", "expected", "fixed:0.85", "fixed:.5", "fixed:1", "fixed:1.0"):
        assert load({"exit_policy": word}, None, {}).exit_policy == word
    for word in ("fixed", "fixed:", "fixed:0", "fixed:0.0", "fixed:1.5", "fixed:-1", "fixed:nan", "guess", ""):
        with pytest.raises(UsageError, match="exit_policy"):
            load({"exit_policy": word}, None, {})


@pytest.mark.parametrize(
    ("files", "membership", "cores"),
    [
        ({}, "0::/", 16),
        ({"cpu.max": "max 100000"}, "0::/", 16),
        ({"cpu.max": "200000 100000"}, "0::/", 2),  # a container
        ({"system.slice/plex.service/cpu.max": "350000 100000"}, "0::/system.slice/plex.service", 4),
        ({"user.slice/cpu.max": "50000 100000"}, "0::/user.slice/user-1.slice/session", 1),
        ({"other.slice/cpu.max": "200000 100000"}, "0::/user.slice", 16),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "3:cpuacct,cpu:/", 16),
        ({"cpu/box/cpu.cfs_quota_us": "300000", "cpu/box/cpu.cfs_period_us": "100000"}, "3:cpu:/box\n1:pids:/", 3),
        ({"cpu.max": "no number"}, "", 16),
    ],
)
def test_a_container_has_the_cores_of_its_quota(
    files: dict[str, str], membership: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    (tmp_path / "membership").write_text(membership + "\n")
    assert usable_cores(tmp_path / "groups", tmp_path / "membership") == cores


def test_where_nothing_is_said_of_affinity_or_groups_all_cores_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path, tmp_path / "absent") == 6
