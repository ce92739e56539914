"""For people who build on it: vectors of files, predictions for a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import json_flag
from music_reclass.cli.output import complain, plain, print_json, printable

if TYPE_CHECKING:
    from music_reclass.domain import Vector
    from music_reclass.errors import TrackError

EXISTING_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--table", type=EXISTING_FILE, required=True, help="Table (.npz) with the arrays fma518 and columns.")
@click.option(
    "--bundle",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A trained bundle (default: the embedded one).",
)
@json_flag
def predict(table: Path, folder: Path | None, as_json: bool) -> None:
    """Genre, confidence and all probabilities for each row of a feature table."""
    from music_reclass.training import bundles, tables

    bundle = bundles.embedded() if folder is None else bundles.load(folder)
    probabilities = bundle.predict_proba(tables.read(table).rows)
    for number, row in enumerate(probabilities):
        best = int(row.argmax())
        genre, confidence = bundle.labels[best], float(row[best])
        if as_json:
            shares = {label: round(float(p), 6) for label, p in zip(bundle.labels, row, strict=True)}
            print_json({"genre": genre, "confidence": round(confidence, 6), "probabilities": shares})
        else:
            plain(f"{number:>6}  {genre:<16} {confidence:.2f}")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--kind", default="fma518", show_default=True, help="Which vector.")
@click.option(
    "--excerpt",
    type=click.Choice(["mid30", "full"]),
    default="mid30",
    show_default=True,
    help="Middle 30 s or the whole file.",
)
@click.option("-j", "--jobs", type=int, default=1, show_default=True, help="Worker processes.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds one file may take.")
@json_flag
def features(files: tuple[Path, ...], kind: str, excerpt: str, jobs: int, timeout: float, as_json: bool) -> int:
    """The feature vector of each FILE."""
    from music_reclass.classification.reading import VectorReader, prepare_worker
    from music_reclass.errors import TrackError
    from music_reclass.extractors.registry import extractor
    from music_reclass.utils.workers import WorkerPool

    extractor(kind, excerpt)  # an unknown kind is refused before a worker starts
    failed = 0
    with WorkerPool(VectorReader(kind, excerpt), min(jobs, len(files)), timeout, prepare_worker) as pool:
        for path, answer in _in_order(files, pool.map(files)):
            if isinstance(answer, TrackError):
                failed += 1
                complain(f"{printable(str(path))}: {answer}")
            elif as_json:
                vector = [float(number) for number in answer]
                print_json({"path": str(path), "kind": kind, "excerpt": excerpt, "vector": vector})
            else:
                first = ", ".join(f"{number:.4f}" for number in answer[:4])
                plain(f"{printable(str(path))}  {kind}/{excerpt}  {len(answer)} numbers: {first}, ...")
    return 1 if failed else 0


def _in_order(
    files: tuple[Path, ...], answers: Iterable[tuple[Path, Vector | TrackError]]
) -> Iterator[tuple[Path, Vector | TrackError]]:
    """The answers in the order of `files`, each as soon as those before it are there."""
    waiting: dict[Path, Vector | TrackError] = {}
    position = 0
    for path, answer in answers:
        waiting[path] = answer
        while position < len(files) and files[position] in waiting:
            yield files[position], waiting[files[position]]
            position += 1
