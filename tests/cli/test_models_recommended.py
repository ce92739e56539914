"""The recommended model: fetched without naming it, shown in the list, and offered by a scan once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from music_reclass.cli import models as command
from music_reclass.cli import output
from music_reclass.cli.main import run
from music_reclass.cli.options import Choice
from music_reclass.config import Settings
from music_reclass.extractors.weights import catalogue, install, store
from music_reclass.extractors.weights.checkpoint import write_safetensors
from tests.extractors import small_models

Command = Callable[..., tuple[int, str, str]]

NAME = catalogue.RECOMMENDED
Answers = list[bool]


@pytest.fixture
def reclass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command: exit code, stdout, stderr."""
    monkeypatch.setenv("RECLASS_DB", str(tmp_path / "library.sqlite3"))

    def run_it(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        return run(list(words)), *capsys.readouterr()

    return run_it


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The catalogue's recommended model comes from a server on this machine; call it with another file name to break
    the address."""
    (tmp_path / "site").mkdir()
    weights = tmp_path / "site" / "weights.bin"
    write_safetensors(weights, small_models.random_efficientat())
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path / "site")))
    Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()

    def at(name: str) -> None:
        url = f"http://127.0.0.1:{http.server_port}/{name}"
        file = catalogue.RemoteFile(name, url, weights.stat().st_size, store.file_digest(weights))
        monkeypatch.setitem(catalogue.MODELS, NAME, dataclasses.replace(catalogue.MODELS[NAME], files=(file,)))

    at("weights.bin")
    yield at
    http.shutdown()
    http.server_close()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Somebody is at the terminal, who gives these answers in turn; what was asked is taken out."""
    given: Answers = []
    for module in (command, output):
        monkeypatch.setattr(module, "interactive", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: given.pop(0))
    return given


def test_a_download_without_a_name_fetches_the_recommended_model(
    server: Callable[[str], None], reclass: Command
) -> None:
    code, out, err = reclass("models", "download", "-y")
    assert code == 0
    assert "312 tensors, 993,485 values" in out
    assert "MIT License" in err
    assert "Florian Schmid" in err
    assert store.needed(NAME).origin.startswith("http://127.0.0.1:")


def test_on_a_terminal_the_licence_and_the_size_come_before_the_question(
    server: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, reclass: Command
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(command, "interactive", lambda: True)
    monkeypatch.setattr(command, "confirm", lambda question, _: bool(asked.append(question)))
    code, _, err = reclass("models", "download")
    assert code != 0
    assert "MIT License" in err
    assert asked == ["Fetch 4 MB under these terms?"]
    assert store.find(NAME) is None


def test_the_list_shows_which_model_is_recommended(reclass: Command) -> None:
    _, out, _ = reclass("models", "list", "--json")
    listed = [json.loads(line) for line in out.splitlines()]
    assert [entry["model"] for entry in listed if entry.get("recommended")] == [NAME]
    assert "recommended; 4 MB to download; licence MIT" in reclass("models", "list")[1]


def test_a_scan_on_a_terminal_offers_it_once_and_fetches_it_before_it_reads(
    server: Callable[[str], None], answers: Answers, tmp_path: Path, reclass: Command
) -> None:
    (tmp_path / "Music").mkdir()
    answers.append(True)
    _, out, err = reclass("scan", str(tmp_path / "Music"))
    assert answers == []
    assert "Recommended: EfficientAT" in out
    assert "4 MB to download, licence MIT" in out
    assert "MIT License" in err
    assert store.find(NAME) is not None
    assert "Recommended" not in reclass("scan", str(tmp_path / "Music"))[1]


def test_who_declines_is_not_asked_again(answers: Answers, tmp_path: Path, reclass: Command) -> None:
    (tmp_path / "Music").mkdir()
    answers.append(False)
    assert "reclass models download" in reclass("scan", str(tmp_path / "Music"))[1]
    assert "Recommended" not in reclass("scan", str(tmp_path / "Music"))[1]
    assert store.find(NAME) is None
    assert not store.licence_shown(NAME)


def test_who_interrupts_the_question_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.confirm", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.offer_recommended(Choice(), Settings())
    command.offer_recommended(Choice(), Settings())


def test_a_failed_download_does_not_end_the_scan(
    server: Callable[[str], None], answers: Answers, tmp_path: Path, reclass: Command
) -> None:
    server("missing.bin")
    answers.append(True)
    (tmp_path / "Music").mkdir()
    (tmp_path / "Music" / "a.txt").write_text("no music")
    without = reclass("scan", str(tmp_path / "Music"), "--stages", "1")[0]
    code, _, err = reclass("scan", str(tmp_path / "Music"))
    assert "does not exist any more" in err
    assert "The scan goes on without it; to try again: reclass models download" in err
    assert code == without


def test_a_folder_that_cannot_be_written_does_not_end_the_scan(
    answers: Answers, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models.write_text("a file in its place")
    command.offer_recommended(Choice(), Settings())
    assert "The scan goes on without it; to try again: reclass models download" in capsys.readouterr().err


@pytest.mark.parametrize("choice", [Choice(dry_run=True), Choice(yes=True), Choice(as_json=True)])
def test_nobody_is_asked_with_flags_that_answer_for_them(choice: Choice, answers: Answers) -> None:
    command.offer_recommended(choice, Settings())
    assert not store.was_offered(NAME)


def test_nobody_is_asked_without_a_terminal_or_where_the_stages_are_named_or_it_is_there(
    monkeypatch: pytest.MonkeyPatch, answers: Answers
) -> None:
    command.offer_recommended(Choice(), Settings(stages="1"))
    monkeypatch.setattr(command, "interactive", lambda: False)
    command.offer_recommended(Choice(), Settings())
    monkeypatch.setattr(command, "interactive", lambda: True)
    small_models.small_efficientat()
    command.offer_recommended(Choice(), Settings())
    assert not store.was_offered(NAME)


def test_the_published_file_is_the_one_that_is_expected() -> None:
    if not small_models.EFFICIENTAT_WEIGHTS.is_file():
        pytest.skip("needs ../shared/data/weights/mn04_as_mAP_432.pt")
    model = catalogue.model(NAME)
    installed = install.from_disk(model, small_models.EFFICIENTAT_WEIGHTS)
    assert (installed.tensors, installed.values) == (model.tensors, model.values)
    assert installed.source == model.files[0].sha256
    assert small_models.EFFICIENTAT_WEIGHTS.stat().st_size == model.size
