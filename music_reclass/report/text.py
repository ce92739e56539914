"""Results as lines for people: scans, decisions, certificates, audits of exits, and where to see the rest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from music_reclass.classification.certify import StageCertificate
    from music_reclass.features.results import ScanStats, StageStats
    from music_reclass.models.metrics import PolicyCost
    from music_reclass.models.priors import ClassPrior
    from music_reclass.report.statistics import ExpectedPrecision, Statistics
    from music_reclass.tagging.apply import WriteReport

Line = tuple[str, str]  # label, text; a line without a label goes on

FEW = 5  # decisions from which on a number of right ones says more than a share

_RELATIONS = {
    "fill": "{have} no genre yet",
    "junk": "{have} a genre that says nothing (such as Other or Unknown)",
    "agree": "{have} the same genre already, or a finer one",
    "refine": "{have} a wider genre (as Rock is wider than Shoegaze)",
    "conflict": "{have} another genre",
}
_WRITTEN = {"fill": "to be filled in", "junk": "to be replaced", "agree": "to be replaced", "refine": "to be replaced",
            "conflict": "to be replaced"}  # fmt: skip
_KEPT = {
    "fill": "left empty, as what was found says too little",
    "junk": "left alone",
    "agree": "nothing to do",
    "refine": "left alone",
    "conflict": "left alone; to see them: reclass report",
}


def counted(count: int, noun: str) -> str:
    """`1 track`, `2,000 tracks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """A length of time."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 90 else f"{minutes} min"


def percent(share: float) -> str:
    """`71 %`; never 100 % for what is less than all."""
    return f"{100 * share:.0f} %" if share == 1.0 or share < 0.995 else "over 99 %"


def music_lines(stats: ScanStats, where: str) -> Iterator[Line]:
    """What was found below `where`, how long reading took, and which stages took uncertain tracks on."""
    parts = [(stats.new, "new"), (stats.known, "known and unchanged"), (stats.changed, "changed"), (stats.gone, "gone")]
    shown = [f"{count:,} {word}" for count, word in parts if count]
    if stats.new == stats.found and not stats.gone:
        shown = ["all new" if stats.new > 1 else "new"]
    yield "music", f"{where}: {counted(stats.found, 'audio file')} ({', '.join(shown)})"
    if stats.read:
        yield "read", f"{counted(stats.read, 'file')} in {duration(stats.seconds['read'])}"
    for name, stage in list(stats.stages.items())[1:]:
        if stage.extracted:
            took = duration(stage.seconds)
            yield "", f"{counted(stage.extracted, 'uncertain track')} once more with the stage {name} in {took}"
        if stage.unreached:
            count = counted(stage.unreached, "uncertain track")
            yield "", f"{count} did not get to the stage {name}; the next scan goes on there"
        if stage.failed:
            yield "", f"{counted(stage.failed, 'uncertain track')} could not be read by the stage {name}"


def tip_lines(absent: Mapping[str, str], unsure: int) -> Iterator[Line]:
    """What could decide more tracks, where some are uncertain and a stage cannot run."""
    for stage, why in absent.items() if unsure else ():
        reason = why.partition(", or, with")[0].rstrip(".")
        yield "tip", f"{counted(unsure, 'uncertain track')} might be decided by the stage {stage}, but {reason}"


def outcome_lines(
    outcomes: Mapping[str, int],
    reasons: Mapping[str, int],
    expected_right: float | None = None,
    relations: Iterable[Line] = (),
) -> Iterator[Line]:
    """How many tracks got a genre, how many of these should be right, and what became of the others.

    `expected_right` is the sum of the probabilities of the decided genres; `reasons` count skips and failures by
    `outcome: reason`; `relations` are lines that belong to the decided tracks.
    """
    total = sum(outcomes.values())
    decided = outcomes.get("confident", 0) + outcomes.get("likely", 0)
    if not total:
        yield "result", "nothing decided yet"
        return
    text = f"a genre for {decided:,} of {counted(total, 'track')}"
    if decided and expected_right is not None:
        text += f"; {_expectation(decided, expected_right)}"
    yield "result", text
    yield from relations
    if unsure := outcomes.get("unsure", 0):
        yield "not sure", f"{counted(unsure, 'track')}: left alone; to see them: reclass status --unsure"
    if broken := outcomes.get("skipped", 0) + outcomes.get("failed", 0):
        shown = ", ".join(f"{reason.partition(': ')[2].replace('_', ' ')} {n:,}" for reason, n in reasons.items())
        why = f" ({shown})" if shown else ""
        yield "left out", f"{counted(broken, 'file')}{why}; to see why: reclass status --failed"


def plan_lines(report: WriteReport) -> Iterator[Line]:
    """What was decided, and how it stands to the genres that are in the files."""
    relations = []
    for name, count in sorted(report.relations.items(), key=lambda item: list(_RELATIONS).index(item[0])):
        changed = report.changes.get(name, 0)
        for number, what in ((changed, _WRITTEN[name]), (count - changed, _KEPT[name])):
            if number:
                have = f"{number:,} {'has' if number == 1 else 'have'}"
                relations.append(("", f"{_RELATIONS[name].format(have=have)}: {what}"))
    yield from outcome_lines(report.outcomes, report.reasons, report.expected_right, relations)


def _expectation(decided: int, right: float) -> str:
    if decided >= FEW:
        return f"about {min(round(right), decided):,} of these {decided:,} should be right"
    return f"such genres are right about {min(round(10 * right / decided), 10)} times in 10"


def detail_lines(figures: Statistics, stats: ScanStats) -> Iterator[Line]:
    """The technical side of a scan: stages, seconds, expected and certified precision, agreement with tags."""
    yield from stage_lines(figures)
    if any(cost.extracted for cost in stats.stages.values()):
        yield "time", costs_text(stats)
    if stats.in_pieces:
        yield "memory", f"{counted(stats.in_pieces, 'window')} computed in pieces, because other programs hold the rest"
    yield from precision_lines(figures)
    yield from agreement_lines(figures, 5)


def stage_lines(figures: Statistics) -> Iterator[Line]:
    """Which stage decided how many tracks."""
    total = sum(tracks for tracks, _ in figures.decided_by.values())
    if total:
        parts = []
        for stage, (tracks, by_album) in figures.decided_by.items():
            album = f", {by_album:,} by album" if by_album else ""
            parts.append(f"{stage} {tracks:,} ({tracks / total:.0%}{album})")
        yield "stages", " · ".join(parts)


def precision_lines(figures: Statistics) -> Iterator[Line]:
    """How many decisions of each outcome should be right, and what is certified about them."""
    for outcome in ("confident", "likely"):
        rows = [row for row in figures.expected if row.outcome == outcome]
        count = sum(row.tracks for row in rows)
        if count:
            mean = sum(row.tracks * row.precision for row in rows) / count
            certified = ", ".join(f"{row.stage} {certified_precision(row)}" for row in rows)
            yield "expected", f"{mean:.0%} of {count:,} {outcome} decisions right (certified: {certified})"


def certified_precision(row: ExpectedPrecision) -> str:
    """The precision that a stage's bundle certifies for decisions of an outcome."""
    return "nothing" if row.certified is None else f"at least {row.certified:.0%}"


def agreement_lines(figures: Statistics, most: int) -> Iterator[Line]:
    """How often decisions agree with people's tags, and the largest disagreements."""
    if figures.tagged:
        share = f"{figures.agreeing:,} of {counted(figures.tagged, 'decided track')}"
        yield "your tags", f"agree with the decision on {share} whose genre was not written by reclass"
    if figures.confusions:
        shown = [f"{genre} where the tag says {tag} {count:,}" for genre, tag, count in figures.confusions[:most]]
        yield "differ", " · ".join(shown)


def cost_text(stage: str, cost: StageStats) -> str:
    """How long a stage took, e.g. `musicnn 20.1 s for 61 tracks, 0.33 s each`."""
    each = cost.seconds_per_track
    text = f"{stage} {duration(cost.seconds)} for {counted(cost.extracted, 'track')}"
    return text if each is None else f"{text}, {each:.2g} s each"


def costs_text(scan: ScanStats) -> str:
    """How long each stage took in a scan."""
    costs = [cost_text(name, cost) for name, cost in scan.stages.items() if cost.extracted]
    return " · ".join(costs) or "nothing new to read"


def scan_text(scan: ScanStats) -> str:
    """What a scan did."""
    stopped = ", stopped" if scan.stopped else ""
    return f"{counted(scan.found, 'file')}, {scan.decided:,} decided{stopped}: {costs_text(scan)}"


def certificate_lines(certificates: Iterable[StageCertificate]) -> Iterator[Line]:
    """From which confidence on tracks exit each stage."""
    for found in certificates:
        yield "exit", f"{found.stage} {found.sentence}" + (" (certified on this library)" if found.from_library else "")


def policy_lines(costs: Iterable[PolicyCost], right: str) -> Iterator[Line]:
    """Exit policies side by side: what is `right`, seconds a track, and who is asked."""
    for number, cost in enumerate(costs):
        asked = ", ".join(f"{stage} {share:.0%}" for stage, share in cost.asked[1:])
        seconds = "?" if cost.seconds != cost.seconds else f"{cost.seconds:.2g}"
        text = f"{cost.policy:<20} {cost.accuracy:.3f} {right}, {seconds} s a track; asked: {asked}"
        yield "exits" if not number else "", text + ("  (as set)" if cost.chosen else "")


def setting_lines(policy: str, prior: ClassPrior | None) -> Iterator[Line]:
    """By which policy tracks exit, and how frequent genres are where that counts."""
    yield "policy", f"exits are {policy}"
    if prior is not None:
        yield "prior", prior.sentence()


def audit_lines(audits: Iterable[tuple[float, Mapping[str, Any]]]) -> Iterator[Line]:
    """What audits of early exits found."""
    for at, found in audits:
        when = time.strftime("%Y-%m-%d", time.localtime(at))
        # `heard` and `early` are the words of the stored audit.
        yield "audit", f"{when}: {found['heard']:,} of about {found['early']:,} early exits checked by every stage"
        for judged in found["judgements"]:
            yield "", f"{'ALARM ' if judged['alarm'] else ''}{judged['stage']}: {judged['sentence']}"
