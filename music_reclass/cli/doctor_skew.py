"""`doctor skew`: is the library's music like the music that the model was trained on, and if not, what differs?"""

from __future__ import annotations

from pathlib import Path

import click

from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import print_json, say

_MOST = 20_000  # tracks looked at, spread over the library


@click.command("skew")
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), help="A trained bundle (default: yours).")
@database_flags
@json_flag
def skew(bundle: Path | None, db: Path | None, config_file: Path | None, as_json: bool) -> int:
    """Compare the library's features with those the model was trained on, family by family, and say what differs."""
    import numpy as np

    from music_reclass.cli.listing import open_library
    from music_reclass.errors import NothingToDo
    from music_reclass.features.labelled import LabelledTracks
    from music_reclass.training import bundles, ladders
    from music_reclass.training import skew as comparison

    settings = settings_from(config_file, db=db, bundle=bundle)
    model = bundles.embedded() if settings.bundle is None else ladders.load(settings.bundle)[0]
    database = open_library(db, config_file)
    vectors = LabelledTracks(database).vectors_of_all(model.kinds[0], _MOST)
    database.close()
    if not vectors:
        raise NothingToDo(f"the library holds no {model.kinds[0].key} features yet: scan a folder first.")
    found = comparison.skew(np.stack(vectors), comparison.reference_of(model))
    for family in found.families:
        level = "much" if family.psi > comparison.MUCH else "some" if family.psi > comparison.SOME else "same"
        if as_json:
            shift = None if family.shift != family.shift else round(family.shift, 3)
            print_json({"family": family.family, "psi": round(family.psi, 4), "shift": shift, "level": level})
        else:
            say("", f"{family.family:<20} PSI {family.psi:6.3f}  {level:<6} means {family.shift:+.2f} sd")
    for sentence in found.findings:
        if as_json:
            print_json({"finding": sentence})
        else:
            say("finding", sentence)
    if not as_json:
        say("compared", f"{found.count:,} tracks with {model.name} {model.version}; PSI to 0.1: same, over 0.25: much")
    return 0
