"""`models`: the bundles that decide, with their measured figures, and the weights that can be downloaded."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from music_reclass.cli.options import Choice, Commands, json_flag, setting_flags, yes_flag
from music_reclass.cli.output import complain, confirm, emit, interactive, plain, print_json, printable, say, styled
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.extractors.weights.catalogue import Model
    from music_reclass.extractors.weights.store import Installed
    from music_reclass.models.bundle import Bundle
    from music_reclass.models.early_exit import ExitRule

_SAMPLE = 3000  # tracks that a stage is trained on, where the user says nothing else
_ENOUGH = 200  # tracks below which that is not worth the while
_ALTERNATIVES = (("efficientat", "efficientat-mn10"), ("mert", "mert-330m"), ("jmla",))

trust_flag = click.option("--trust", is_flag=True, help="Take other weights than the published or first ones.")


@click.group(cls=Commands)
def models() -> None:
    """The models that decide, what they were measured to do, and the weights of others they may use."""


@models.command("list")
@click.option("-v", "--verbose", is_flag=True, help="What each set of tracks allowed its exit, and the whole manifest.")
@setting_flags("bundle")
@json_flag
def list_models(verbose: bool, as_json: bool, settings: Settings) -> None:
    """The stages that decide, with their figures and what their exit rules guarantee; then the models that can be
    added."""
    from music_reclass.cli.session import available_bundles, library_exits, reading
    from music_reclass.extractors.weights import catalogue, store
    from music_reclass.models.early_exit import LEAST, exit_as_manifest, exit_rules

    stages = available_bundles(settings)
    certified: dict[str, tuple[ExitRule, ...]] = {}
    if settings.database.exists():
        with reading(settings) as library:
            certified = library_exits(library, [stage.digest for stage in stages])
    for stage, exit_rule in zip(stages, exit_rules(stages, certified), strict=True):
        if as_json:
            stated = None if exit_rule is None else exit_as_manifest(exit_rule)
            print_json({"stage": stage.stage, "digest": stage.digest, "exit": stated, **stage.manifest})
            continue
        say(stage.stage, f"{stage.name} {stage.version}  ({stage.digest[:12]})")
        say("labels", ", ".join(stage.labels))
        say(
            "thresholds",
            ", ".join(f"{name} >= {max(value, LEAST):.2f}" for name, value in stage.thresholds.items()) or "none",
        )
        if stage is not stages[-1]:
            sentence = "no certificate with the stages behind it: it never exits"
            sentence = sentence if exit_rule is None else exit_rule.sentence()
            say(
                "exit",
                sentence + ("  (certified on your library)" if exit_rule in certified.get(stage.digest, ()) else ""),
            )
        _show_manifest(stage, exit_rule, verbose)
    head_of = _heads(settings)
    for model in catalogue.MODELS.values():
        _show(model, store.find(model.name), as_json, head_of(model))


def _show_manifest(stage: Bundle, exit_rule: ExitRule | None, verbose: bool) -> None:
    import json

    if verbose and exit_rule is not None:
        say("", f"epsilon {exit_rule.epsilon:g}, delta {exit_rule.delta:g}, n {exit_rule.count:,}")
        for name, scores in exit_rule.held_on.items():
            say("", f"on {name}: {_measured(scores)}")
    for name, value in stage.manifest.get("metrics", {}).items():
        if isinstance(value, int | float):
            say("", f"{name} {value:.3g}")
    say("licence", str(stage.manifest.get("licence", "MIT")))
    if verbose:
        plain(json.dumps(stage.manifest, indent=2, ensure_ascii=False))
    plain()


def _measured(scores: Mapping[str, Any]) -> str:
    """What one set of tracks allowed, or what was lost there where it is too small to allow anything."""
    at = "none" if scores.get("threshold") is None else f"{scores['threshold']:.2f}"
    if "lost" in scores:
        return f"threshold {at}, {scores['lost']} of {scores['count']:,} lost, {scores['exits']:.0%} exit"
    lost = f"at {at} {scores['share lost']:.1%} lost, {scores['exits']:.0%} exit"
    return f"monitored only, {counted(scores['count'], 'track')}: {lost}"


class Head(NamedTuple):
    """Whether the vectors of a model name genres: the stages that read them, else the cascade that was trained and is
    not in use, else the line that trains one."""

    stages: tuple[str, ...] = ()
    bundle: str = ""
    train: str = ""  # empty too where the model's tags are evidence and nothing else

    def sentence(self) -> str:
        """What a user must know of it; empty where a stage reads them."""
        if self.stages:
            return ""
        if self.bundle:
            named = printable(shlex.quote(self.bundle))
            return f"a stage that you trained reads its vectors; scans use it with --bundle {named}"
        if not self.train:
            return "its tags are evidence (reclass explain); no stage reads them"
        return f"no stage reads its vectors yet; make one from your tags: {self.train}"


def _stages_by_kind(settings: Settings) -> dict[str, list[str]]:
    """The stages that read vectors, by the name of the kind: those of a scan, of the package, and of the library."""
    from music_reclass.cli.session import available_bundles, untaught_bundles
    from music_reclass.models.bundle import CONTENT_FOLDERS, embedded

    found: dict[str, list[str]] = {}
    for bundle in (*available_bundles(settings), *untaught_bundles(), *map(embedded, CONTENT_FOLDERS)):
        for kind in bundle.kinds:
            if bundle.stage not in found.setdefault(kind.name, []):
                found[kind.name].append(bundle.stage)
    return found


def _trained() -> dict[str, str]:
    """The newest cascade in the folder of trained ones that reads vectors, by the name of the kind."""
    from music_reclass.errors import BundleError
    from music_reclass.models.bundle import load_cascade, trained_folder

    found: dict[str, str] = {}
    folders = trained_folder().iterdir() if trained_folder().is_dir() else ()
    for folder in sorted(folders, key=lambda one: one.stat().st_mtime):
        with suppress(BundleError):
            found |= {kind.name: str(folder) for bundle in load_cascade(folder) for kind in bundle.kinds}
    return found


def _heads(settings: Settings) -> Callable[[Model], Head]:
    """What tells the head of a model; the bundles are read once."""
    from music_reclass.extractors.registry import TAG_HEADS

    stages, trained = _stages_by_kind(settings), _trained()

    def head(model: Model) -> Head:
        reading = [stage for kind in model.kinds for stage in stages.get(kind, ())]
        reading += [stage for stage, tagger in TAG_HEADS.items() if tagger == model.name]  # once it is installed
        if reading:
            return Head(tuple(dict.fromkeys(reading)))
        folder = next((trained[kind] for kind in model.kinds if kind in trained), "")
        return Head(bundle=folder, train="" if folder else _training_line(model))

    return head


def _training_line(model: Model) -> str:
    """The command that makes a stage of the vectors of `model`, beside what is installed; "" where none can."""
    from music_reclass.cli.data import FIRST, LATER
    from music_reclass.extractors.weights import catalogue, store

    wanted = [kind for kind in model.kinds if kind in LATER]
    if not wanted:
        return ""
    installed = {kind for other in catalogue.MODELS.values() if store.find(other.name) for kind in other.kinds}
    for alternatives in _ALTERNATIVES:
        at_hand = [kind for kind in alternatives if kind in wanted] or [
            kind for kind in alternatives if kind in installed
        ]
        wanted += at_hand[:1]
    stages = ",".join((FIRST, *(kind for kind in LATER if kind in wanted)))
    return f"reclass train all --on library --sample {_SAMPLE} --stages {stages}"


def heads_lacking(settings: Settings) -> dict[str, Head]:
    """The installed models that no stage reads, by name."""
    from music_reclass.extractors.weights import catalogue, store

    head_of = _heads(settings)
    heads = {model.name: head_of(model) for model in catalogue.MODELS.values() if store.find(model.name)}
    return {name: head for name, head in heads.items() if head.train or head.bundle}


def _show(model: Model, installed: Installed | None, as_json: bool, head: Head) -> None:
    from music_reclass.extractors.weights.catalogue import RECOMMENDED

    if as_json:
        print_json(
            {
                "model": model.name, "title": model.title, "kinds": list(model.kinds), "licence": model.licence,
                "bytes": model.size, "extra": model.extra or None, "installed": installed is not None,
                "digest": installed.digest if installed else None, "recommended": model.name == RECOMMENDED,
                "stages": list(head.stages), "bundle": head.bundle or None, "train": head.train or None,
            }
        )  # fmt: skip
        return
    state = f"installed {installed.installed}" if installed else f"{model.size / 1e6:,.0f} MB to download"
    state = f"recommended; {state}" if model.name == RECOMMENDED else state
    say(model.name, f"{model.title}")
    say("", f"{state}; licence {model.licence}" + (f"; needs music_reclass[{model.extra}]" if model.extra else ""))
    if head.sentence():
        say("", head.sentence())


@models.command()
@click.argument("name", required=False)
@yes_flag
@trust_flag
@setting_flags()
@json_flag
def download(name: str | None, *, yes: bool, trust: bool, as_json: bool, settings: Settings) -> None:
    """Download the weights of NAME (default: the recommended model), after showing their licence once. -y accepts it
    without asking. Where they lie in the Hugging Face cache, they are taken from there."""
    from music_reclass.extractors.weights import catalogue

    model = catalogue.model(name or catalogue.RECOMMENDED)
    _accept_licence(model, yes)
    _show_installed(model, _from_hub_cache(model, trust) or _fetched(model, trust), as_json, settings)


def _from_hub_cache(model: Model, trust: bool) -> Installed | None:
    from music_reclass.extractors.weights import install

    installed = install.from_hub_cache(model, trust)
    if installed is not None:
        complain(printable(f"Nothing is downloaded: the Hugging Face cache has it, {installed.origin}"))
    return installed


def _fetched(model: Model, trust: bool = False) -> Installed:
    from music_reclass.extractors.weights import install
    from music_reclass.utils.progress import progress_bar

    with progress_bar("fetching", model.size) as bar:
        return install.from_internet(model, lambda count: bar.advance(count), trust)


def offer_recommended(choice: Choice, settings: Settings) -> None:
    """Ask once, on a terminal, whether to fetch the recommended model; never with -n, -y, --json or --stages.

    Whatever the answer, it is not asked again; a download that fails is said, and that is all.
    """
    import datetime

    from music_reclass.errors import ReclassError
    from music_reclass.extractors.weights import catalogue, store

    model = catalogue.model(catalogue.RECOMMENDED)
    if any(choice) or settings.stages != "auto" or not interactive():
        return
    try:
        if store.find(model.name) or store.was_offered(model.name):
            return
        today = datetime.date.today().isoformat()
        store.remember_offer(model.name, today)
        sentences = (
            f"Recommended: {model.title.partition(',')[0]}, a small network that recognizes instruments, speech and "
            "other sounds. It helps to decide the genre and to tell music from what is none. "
            f"{model.size / 1e6:,.0f} MB to download, licence {model.licence} (reclass models licence {model.name})."
        )
        plain(textwrap.fill(sentences, shutil.get_terminal_size().columns, break_on_hyphens=False))
        if not confirm("Fetch it now?", Choice(), default=True):
            plain("You are not asked again; to fetch it later: reclass models download")
            return
        if not store.licence_shown(model.name):
            complain(model.licence_text)
        store.remember_licence(model.name, today)
        _fetched(model)
    except (ReclassError, OSError) as error:
        complain(f"{printable(str(error))}\nThe scan goes on without it; to try again: reclass models download")


@models.command("install")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@trust_flag
@setting_flags()
@json_flag
def install_model(name: str, path: Path | None, *, trust: bool, as_json: bool, settings: Settings) -> None:
    """Take the weights of NAME from PATH: the file as published, a safetensors file, or their folder. Without PATH they
    are looked for in the Hugging Face cache."""
    from music_reclass.errors import NothingToDo
    from music_reclass.extractors.weights import catalogue, install, store

    model = catalogue.model(name)
    installed = _from_hub_cache(model, trust) if path is None else install.from_disk(model, path, trust)
    if installed is None:
        raise NothingToDo(
            f"The Hugging Face cache ({store.hub_cache()}) has no published {model.files[0].name} of {model.name}; "
            f"name the file, or fetch it: reclass models download {model.name}"
        )
    if not as_json and model.licence != "MIT":
        complain(f"{model.name} is under {model.licence}; read it with: reclass models licence {model.name}")
    _show_installed(model, installed, as_json, settings)


@models.command()
@click.argument("names", nargs=-1)
@setting_flags("device", "gpu_memory", "precision")
@json_flag
def verify(names: tuple[str, ...], as_json: bool, settings: Settings) -> int:
    """Check installed models (default: all): digest, tensors, and whether two sounds get different vectors."""
    from music_reclass.errors import NothingToDo
    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.weights import catalogue, store
    from music_reclass.extractors.weights.install import self_check

    chosen = [catalogue.model(name) for name in names]
    chosen = chosen or [model for model in catalogue.MODELS.values() if store.find(model.name)]
    if not chosen:
        raise NothingToDo("No model is installed; see reclass models list.")
    wrong = 0
    for model in chosen:
        for check in self_check(model, Placement.from_settings(settings)):
            wrong += not check.fine
            mark = "" if check.fine else styled("! ", "red")
            shown = {"model": model.name, "check": check.name, "ok": check.fine, "detail": check.detail}
            emit(shown, f"{mark}{check.name}: {check.detail}", as_json, model.name)
    return 1 if wrong else 0


@models.command()
@click.argument("name")
def licence(name: str) -> None:
    """The terms of the weights of NAME."""
    from music_reclass.extractors.weights import catalogue

    plain(catalogue.model(name).licence_text.rstrip())


def _accept_licence(model: Model, yes: bool) -> None:
    """Show the licence unless it was accepted before; UsageError where nobody is there to accept it."""
    import datetime

    from music_reclass.errors import UsageError
    from music_reclass.extractors.weights import store

    if store.licence_shown(model.name):
        return
    complain(model.licence_text)
    if not yes:
        if not interactive():
            raise UsageError(f"Say -y to accept the licence of {model.name} ({model.licence}) without being asked.")
        if not confirm(f"Fetch {model.size / 1e6:,.0f} MB under these terms?", Choice()):
            raise click.Abort
    store.remember_licence(model.name, datetime.date.today().isoformat())


def _show_installed(model: Model, installed: Installed, as_json: bool, settings: Settings) -> None:
    head = _heads(settings)(model)
    if as_json:
        _show(model, installed, as_json, head)
        return
    contents = "graph" if model.is_graph else f"{installed.tensors} tensors, {installed.values:,} values"
    say(model.name, f"{contents}, digest {installed.digest[:16]}")
    say("folder", printable(str(installed.folder)))
    plain(f"check it: reclass models verify {model.name}")
    if not head.train:
        plain(head.sentence() or f"The next scan uses it: reclass scan PATH   (stage {head.stages[0]})")
        return
    plain(f"Scans do not use it yet, as no stage reads its vectors. Make one from your genre tags:\n{head.train}")
    if (tagged := _tagged_tracks(settings)) < _ENOUGH:
        plain(
            f"That takes {_ENOUGH} tracks or more with features and tags of yours; the library has {tagged:,}. Scan "
            "tagged music first (reclass scan --dry-run PATH), or take a labelled collection: --on fma-audio --data "
            "fma_small, --on folder --data ONE_FOLDER_A_GENRE."
        )


def _tagged_tracks(settings: Settings) -> int:
    """How many tracks of the library a stage could be trained on."""
    from music_reclass.cli.session import reading
    from music_reclass.features.library import Library
    from music_reclass.models.dataset import fma518

    if not settings.database.exists():
        return 0
    with reading(settings) as library:
        return sum(1 for _ in Library(library).tracks_with(fma518("mid30"), tagged_by_user=True))
