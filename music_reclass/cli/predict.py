"""`predict` and `features`: predictions for a table of vectors, and the vectors of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import FILE, FOLDER, json_flag, setting_flags
from music_reclass.cli.output import complain, emit, printable

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Vector
    from music_reclass.errors import TrackError
    from music_reclass.models.bundle import Bundle
    from music_reclass.models.dataset import TableFile
    from music_reclass.models.exit_policy import ExitPolicy
    from music_reclass.taxonomy import Taxonomy


@click.command()
@click.option("--table", type=FILE, required=True, help="Table (.npz) with the arrays fma518 and columns.")
@click.option(
    "--bundle",
    type=FOLDER,
    help="A trained bundle, or a cascade of them (default: the embedded stages whose vectors the table holds).",
)
@setting_flags("exit_policy", "effort", with_db=False)
@json_flag
def predict(table: Path, bundle: Path | None, as_json: bool, settings: Settings) -> None:
    """Genre, confidence and all probabilities for each row of a feature table; a cascade is run, and decides, as in a
    scan without albums.

    With the embedded stages rows that are no music are skipped; a bundle of yours is asked about every row.
    """
    from music_reclass.cli.session import exit_policy
    from music_reclass.taxonomy import load

    stages, file = _stages(bundle, table)
    policy, taxonomy = exit_policy(settings, None), load(settings.taxonomy)
    for number, row in enumerate(_predictions(stages, file, policy, taxonomy, detect=bundle is None)):
        stage = f"  {row['stage']}" if len(stages) > 1 else ""
        genre = row["genre"] or f"({row['content']})"
        emit(row, f"{number:>6}  {genre:<16} {row['confidence']:.2f}{stage}", as_json)


def _stages(bundle: Path | None, table: Path) -> tuple[list[Bundle], TableFile]:
    """The stages whose vectors `table` holds, the first always, and the table as read. A stage of `bundle` whose
    vectors are not there is named."""
    from music_reclass.models.bundle import EMBEDDED, embedded, load_cascade, without_alternative
    from music_reclass.models.dataset import TableFile
    from music_reclass.training.npz import kinds_in

    file = TableFile.read(table)
    available = set(kinds_in(file))
    stages = list(map(embedded, EMBEDDED)) if bundle is None else list(load_cascade(bundle))
    able = [stage for stage in stages if all(kind.name in available for kind in stage.kinds)] or stages[:1]
    for stage in stages if bundle is not None else ():
        if stage not in able:
            missing = [kind.name for kind in stage.kinds if kind.name not in available]
            complain(f"The stage {stage.stage} never votes: the table holds no array {', '.join(missing)}.")
    return without_alternative(able), file


def _predictions(
    stages: Sequence[Bundle], file: TableFile, policy: ExitPolicy, taxonomy: Taxonomy, *, detect: bool
) -> Iterator[dict[str, Any]]:
    """One object a row. A row that reaches a stage's exit goes no further; where this is to be detected, one that is no
    music gets no genre. One whose genre is not sure keeps the likeliest."""
    from music_reclass.classification.policy import decide
    from music_reclass.classification.voter import Stage, row_votes
    from music_reclass.domain import CONTENT, Outcome
    from music_reclass.models.bundle import embedded
    from music_reclass.training.npz import kinds_in, rows_for

    read, available = file.table(labelled=False), set(kinds_in(file))
    detectors = map(embedded, CONTENT if detect else ())
    content = [bundle for bundle in detectors if all(kind.name in available for kind in bundle.kinds)]
    for bundle in stages:
        Stage.from_bundle(bundle, taxonomy)  # BundleError where it has other genres, as in a scan
    limits = {bundle.stage: Stage(bundle, bundle.labels).thresholds for bundle in (*stages, *content)}
    rows = row_votes(
        stages, lambda bundle: rows_for(bundle.kinds, file, read), len(read), policy=policy, content=content
    )
    for votes in rows:
        decision, last = decide(votes, limits, taxonomy), votes[-1]
        refused = decision.outcome is Outcome.SKIPPED
        sound = {"content": last.instead_of_music[0]} if refused else {}
        genre = None if refused else next(iter(decision.genres), last.genre)
        yield {
            "genre": genre, "confidence": round(decision.confidence, 6),
            "probabilities": {genre: round(share, 6) for genre, share in last.probabilities.items()},
            "stage": last.stage, "exited": not refused and last.stage != stages[-1].stage,
            "outcome": decision.outcome.value, "reason": decision.reason, **sound,
        }  # fmt: skip


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--kind",
    default="fma518",
    show_default=True,
    help="Which vector: fma518, efficientat, efficientat-tags, musicnn, musicnn-tags, mert, mert-330m, jmla, ast-tags, "
    "distilhubert-genre.",
)
@click.option(
    "--excerpt",
    type=click.Choice(["mid30", "full"]),
    default="mid30",
    show_default=True,
    help="Middle 30 s or the whole file.",
)
@click.option("-j", "--jobs", type=int, default=1, show_default=True, help="Worker processes.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds one file may take.")
@setting_flags("device", "gpu_memory", "precision", with_db=False)
@json_flag
def features(
    files: tuple[Path, ...], kind: str, excerpt: str, jobs: int, timeout: float, as_json: bool,
    settings: Settings,
) -> int:  # fmt: skip
    """The feature vector of each FILE."""
    from music_reclass.errors import TrackError

    failed = 0
    settings = replace(settings, jobs=min(jobs, len(files)), timeout=timeout)
    for path, answer in _in_order(files, _answers(files, kind, excerpt, settings)):
        if isinstance(answer, TrackError):
            failed += 1
            complain(f"{printable(str(path))}: {printable(str(answer))}")
            continue
        vector = [float(number) for number in answer]
        first = ", ".join(f"{number:.4f}" for number in answer[:4])
        text = f"{printable(str(path))}  {kind}/{excerpt}  {len(answer)} numbers: {first}, ..."
        emit({"path": str(path), "kind": kind, "excerpt": excerpt, "vector": vector}, text, as_json)
    return 1 if failed else 0


def _answers(
    files: tuple[Path, ...], kind: str, excerpt: str, settings: Settings
) -> Iterator[tuple[Path, Vector | TrackError]]:
    """Each file with its vector: computed whole in workers, or through one network that workers decode for."""
    from functools import partial

    from music_reclass.classification.reading import LocalBackend, read_track, read_vector
    from music_reclass.extractors.registry import extractor, network_kinds

    made = extractor(kind, excerpt)  # an unknown kind, or weights that are not there, are said before a worker starts
    backend = LocalBackend(settings)
    items = list(enumerate(map(str, files)))
    if kind in network_kinds():
        answers = backend.embed(items, made.kind, lambda: False)
    else:
        reader = partial(read_vector, kind=kind, excerpt=excerpt)
        answers = backend.map(partial(read_track, reader=reader), items, lambda: False)
    for (number, _), answer in answers:
        yield files[number], answer


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
