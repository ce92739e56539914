"""The models at hand, and how to get the ones that are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import bundle_flag, database_flags, json_flag, settings_from, yes_flag
from music_reclass.cli.output import complain, interactive, plain, print_json, printable, say

if TYPE_CHECKING:
    from music_reclass.extractors.weights.catalogue import Model
    from music_reclass.extractors.weights.store import Installed
    from music_reclass.models.bundle import Bundle
    from music_reclass.models.early_exit import ExitRule

trust_flag = click.option("--trust", is_flag=True, help="Take other weights than the published or first ones.")


@click.group()
def models() -> None:
    """The models that decide, what they were measured to do, and the weights of others they may use."""


@models.command("list")
@click.option("-v", "--verbose", is_flag=True, help="What each set of tracks allowed its exit, and the whole manifest.")
@bundle_flag
@database_flags
@json_flag
def list_models(verbose: bool, bundle: Path | None, db: Path | None, config_file: Path | None, as_json: bool) -> None:
    """The stages that decide, with their figures and what their exits promise; then the models that can be added."""
    from music_reclass.cli.session import bundles_at_hand, library_exits
    from music_reclass.extractors.weights import catalogue, store
    from music_reclass.models import early_exit as exits

    settings = settings_from(config_file, db=db, bundle=bundle)
    stages = bundles_at_hand(settings.bundle)
    own = library_exits(settings, [stage.digest for stage in stages])
    for place, stage in enumerate(stages):
        later = [other.digest for other in stages[place + 1 :]]
        users = exits.fitting_exit_rule(own.get(stage.digest, ()), later)
        exit_rule = users or exits.fitting_exit_rule(exits.exit_rules_of(stage.manifest), later)
        if as_json:
            stated = None if exit_rule is None else exits.exit_as_manifest(exit_rule)
            print_json({"stage": stage.stage, "digest": stage.digest, "exit": stated, **stage.manifest})
        else:
            _show_stage(stage, exit_rule, bool(later), users is not None, verbose)
    for model in catalogue.MODELS.values():
        _show(model, store.find(model.name), as_json)


def _show_stage(stage: Bundle, exit_rule: ExitRule | None, is_followed: bool, is_own: bool, verbose: bool) -> None:
    import json

    say(stage.stage, f"{stage.name} {stage.version}  ({stage.digest[:12]})")
    say("labels", ", ".join(stage.labels))
    say("thresholds", ", ".join(f"{name} >= {value:.2f}" for name, value in stage.thresholds.items()) or "none")
    if is_followed:
        promise = (
            "no certificate with the stages behind it: it never exits" if exit_rule is None else exit_rule.sentence()
        )
        say("exit", promise + ("  (your own calibration)" if is_own else ""))
    if verbose and exit_rule is not None:
        say("", f"epsilon {exit_rule.epsilon:g}, delta {exit_rule.delta:g}, n {exit_rule.count:,}")
        for name, seen in exit_rule.held_on.items():
            say("", f"on {name}: {_seen(seen)}")
    for name, value in stage.manifest.get("metrics", {}).items():
        if isinstance(value, int | float):
            say("", f"{name} {value:.3g}")
    say("licence", str(stage.manifest.get("licence", "MIT")))
    if verbose:
        plain(json.dumps(stage.manifest, indent=2, ensure_ascii=False))
    plain()


def _seen(seen: Mapping[str, Any]) -> str:
    """What one set of tracks allowed, or what was lost there where it is too small to allow anything."""
    at = "none" if seen.get("threshold") is None else f"{seen['threshold']:.2f}"
    if "lost" in seen:
        return f"threshold {at}, {seen['lost']} of {seen['count']:,} lost, {seen['exits']:.0%} exit"
    return f"watched only, {seen['count']:,} tracks: at {at} {seen['share lost']:.1%} lost, {seen['exits']:.0%} exit"


def _show(model: Model, installed: Installed | None, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "model": model.name, "title": model.title, "kinds": list(model.kinds), "licence": model.licence,
                "bytes": model.size, "extra": model.extra or None, "installed": installed is not None,
                "digest": installed.manifest.digest if installed else None,
            }
        )  # fmt: skip
        return
    state = f"installed {installed.manifest.installed}" if installed else f"{model.size / 1e6:,.0f} MB to download"
    say(model.name, f"{model.title}")
    say("", f"{state}; licence {model.licence}" + (f"; needs music_reclass[{model.extra}]" if model.extra else ""))


@models.command()
@click.argument("name")
@yes_flag
@trust_flag
@json_flag
def download(name: str, yes: bool, trust: bool, as_json: bool) -> None:
    """Fetch the weights of NAME, after showing their licence once. -y accepts it without asking."""
    from music_reclass.extractors.weights import catalogue, install
    from music_reclass.utils.progress import progress_bar

    model = catalogue.model(name)
    _accept_licence(model, yes)
    with progress_bar("fetching", model.size) as bar:
        installed = install.from_internet(model, lambda count: bar.advance(count), trust)
    _tell(model, installed, as_json)


@models.command("install")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@trust_flag
@json_flag
def install_model(name: str, path: Path, trust: bool, as_json: bool) -> None:
    """Take the weights of NAME from PATH: the file as published, a safetensors file, or their folder."""
    from music_reclass.extractors.weights import catalogue, install

    model = catalogue.model(name)
    installed = install.from_disk(model, path, trust)
    if not as_json and model.licence != "MIT":
        complain(f"{model.name} is under {model.licence}; read it with: reclass models licence {model.name}")
    _tell(model, installed, as_json)


@models.command()
@click.argument("names", nargs=-1)
@json_flag
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Check installed models (default: all): digest, tensors, and whether two sounds sound different to them."""
    from music_reclass.errors import NothingToDo
    from music_reclass.extractors.weights import catalogue, store
    from music_reclass.extractors.weights.install import self_check

    chosen = [catalogue.model(name) for name in names]
    chosen = chosen or [model for model in catalogue.MODELS.values() if store.find(model.name)]
    if not chosen:
        raise NothingToDo("no model is installed; see reclass models list.")
    wrong = 0
    for model in chosen:
        for check in self_check(model):
            wrong += not check.fine
            if as_json:
                print_json({"model": model.name, "check": check.name, "ok": check.fine, "detail": check.detail})
            else:
                mark = "" if check.fine else click.style("! ", fg="red")
                say(model.name, f"{mark}{check.name}: {check.detail}")
    return 1 if wrong else 0


@models.command()
@click.argument("name")
def licence(name: str) -> None:
    """The terms of the weights of NAME."""
    from music_reclass.extractors.weights import catalogue

    plain(catalogue.model(name).licence_text.rstrip())


def _accept_licence(model: Model, yes: bool, confirm: Callable[[str], bool] = click.confirm) -> None:
    """Show the licence unless it was accepted before; UsageError where nobody is there to accept it."""
    import datetime

    from music_reclass.errors import UsageError
    from music_reclass.extractors.weights import store

    if store.licence_shown(model.name):
        return
    complain(model.licence_text)
    if not yes:
        if not interactive():
            raise UsageError(f"say -y to accept the licence of {model.name} ({model.licence}) without being asked.")
        if not confirm(f"Fetch {model.size / 1e6:,.0f} MB under these terms?"):
            raise click.Abort
    store.remember_licence(model.name, datetime.date.today().isoformat())


def _tell(model: Model, installed: Installed, as_json: bool) -> None:
    if as_json:
        _show(model, installed, as_json)
        return
    manifest = installed.manifest
    say(model.name, f"{manifest.tensors} tensors, {manifest.values:,} values, digest {manifest.digest[:16]}")
    say("folder", printable(str(installed.folder)))
    plain(f"check it: reclass models verify {model.name}")
