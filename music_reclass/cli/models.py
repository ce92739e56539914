"""The models at hand."""

from __future__ import annotations

import click

from music_reclass.cli.options import json_flag
from music_reclass.cli.output import plain, print_json, say


@click.group()
def models() -> None:
    """The models that decide, and what they were measured to do."""


@models.command("list")
@click.option("-v", "--verbose", is_flag=True, help="The whole manifest.")
@json_flag
def list_models(verbose: bool, as_json: bool) -> None:
    """The installed models, with the figures of their model card."""
    import json

    from music_reclass.training import bundles

    bundle = bundles.embedded()
    if as_json:
        print_json({"stage": bundle.stage, "digest": bundle.digest, **bundle.manifest})
        return
    if verbose:
        plain(json.dumps(bundle.manifest, indent=2, ensure_ascii=False))
        return
    say(bundle.stage, f"{bundle.name} {bundle.version}  (embedded, {bundle.digest[:12]})")
    say("labels", ", ".join(bundle.labels))
    say("thresholds", ", ".join(f"{name} >= {value:.2f}" for name, value in bundle.thresholds.items()))
    for name, value in bundle.manifest.get("metrics", {}).items():
        if isinstance(value, int | float):
            say("", f"{name} {value:.3g}")
    say("licence", str(bundle.manifest.get("licence", "MIT")))
