"""Results as lines for people: scans, decisions, certificates, audits of exits, and where to see the rest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from music_reclass.utils.words import counted as counted  # said by all who write for people

if TYPE_CHECKING:
    from music_reclass.classification.certify import StageCertificate
    from music_reclass.features.results import ScanStats, StageStats
    from music_reclass.models.metrics import PolicyCost
    from music_reclass.models.priors import ClassPrior
    from music_reclass.report.statistics import ExpectedPrecision, Statistics
    from music_reclass.tagging.apply import WriteReport

Line = tuple[str, str]  # label, text; a line without a label goes on
Row = tuple[int, int, str, str]  # depth, count, what these tracks are, what becomes of them

FEW = 5  # decisions from which on a number of right ones says more than a share

# What a file says of its genre, of one file and of several.
_RELATIONS = {
    "fill": ("has no genre yet", "have no genre yet"),
    "junk": ("has a genre that says nothing, such as Other", "have a genre that says nothing, such as Other"),
    "agree": ("says the same, or something finer", "say the same, or something finer"),
    "refine": ("says something wider, as Rock for Shoegaze", "say something wider, as Rock for Shoegaze"),
    "conflict": ("says something else", "say something else"),
}
_KEPT = {
    "fill": "left empty, as what was found says too little",
    "junk": "left alone",
    "agree": "nothing to do",
    "refine": "left alone",
    "conflict": "left alone; see them: reclass report",
}
_NOT_MUSIC = "not_music"
# Why a file has no genre, by the reason of the skip or failure; where there is no entry, the reason speaks for itself.
_CAUSES = {
    "no_audio": "no audio in the file",
    "not_audio": "no audio file, whatever its name says",
    "silence": "silent",
    "decode": "damaged",
    "timeout": "took too long to read",
    "memory": "needs too much memory",
    "permission": "may not be read",
    "io": "read error",
    "vanished": "gone meanwhile",
    "changed": "changed while it was read",
    "tags": "damaged tag",
    "crashed": "the decoder crashed",
    "bug": "unexpected error",
}
# Why a genre is not written to a file, by the reason of the failure.
NOT_WRITTEN = {
    "unsupported": "a kind of file that is read but not written",
    "tags": "damaged tag",
    "permission": "read-only",
    "hard_link": "several names (hard links)",
    "no_space": "no room for a copy beside it",
    "changed": "changed since it was scanned",
    "verify": "the copy did not read back as it should",
    "vanished": "no longer there",
    "bug": "unexpected error",
}


def duration(seconds: float) -> str:
    """A length of time."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 90 else f"{minutes} min"


def percent(share: float) -> str:
    """`71 %`; never 100 % for what is less than all."""
    return f"{100 * share:.0f} %" if share == 1.0 or share < 0.995 else "over 99 %"


def music_lines(stats: ScanStats, where: str) -> Iterator[str]:
    """What was found below `where`, how long reading took, and which stages took uncertain tracks on."""
    parts = [(stats.new, "new"), (stats.known, "known"), (stats.changed, "changed"), (stats.gone, "gone")]
    shown = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    if not stats.gone and stats.found in (stats.new, stats.known):
        shown = ("all " if stats.found > 1 else "") + ("new" if stats.new else "known")
    read, length = "", duration(stats.seconds.get("read", 0.0))
    if stats.stopped and stats.read < stats.found - stats.known:
        read = f" {stats.read:,} analysed in {length}; the next scan goes on there."
    elif stats.read:
        read = f" Analysed in {length}."
    yield f"{where}: {counted(stats.found, 'track')}, {shown}.{read}"
    for name, stage in list(stats.stages.items())[1:]:
        if again := stage.extracted - stage.at_reading:
            took = "" if stage.at_reading else f" in {duration(stage.seconds)}"
            yield f"{counted(again, 'track')} once more with the stage {name}{took}."
        if stage.unreached:
            count = counted(stage.unreached, "uncertain track")
            yield f"{count} did not get to the stage {name}; the next scan goes on there."
        if stage.failed:
            yield f"{counted(stage.failed, 'uncertain track')} could not be read by the stage {name}."


def tip_line(stage: str, why: str, unsure: int) -> str:
    """What could decide more tracks: a stage that cannot run, and why."""
    reason = why.partition(", or, with")[0].rstrip(".")
    return f"{counted(unsure, 'uncertain track')} might be decided by the stage {stage}, but {reason}"


def outcome_lines(
    outcomes: Mapping[str, int],
    reasons: Mapping[str, int],
    expected_right: float | None = None,
    relations: Iterable[Row] = (),
    *,
    sounds: Mapping[str, int] | None = None,
) -> Iterator[str]:
    """How many tracks got a genre, how many of these should be right, and what became of the others.

    `expected_right` is the sum of the probabilities of the decided genres; where a person decided all, nothing is said
    of it. `reasons` count skips and failures by `outcome: reason`;
    `relations` are the rows below the decided tracks; `sounds` say what is no music.
    """
    decided = outcomes.get("confident", 0) + outcomes.get("likely", 0)
    if not sum(outcomes.values()):
        yield "Nothing was decided yet."
        return
    should = (
        f" ({_expectation(decided, expected_right)})"
        if decided and expected_right is not None and expected_right != decided
        else ""
    )
    rows: list[Row] = [(0, decided, f"recognised{should}", ""), *relations]
    if unsure := outcomes.get("unsure", 0):
        rows.append((0, unsure, "not sure enough", "left alone; see them: reclass status --unsure"))
    rows += _left_out(outcomes, reasons, sounds or {})
    yield from row_lines(rows)


def _left_out(outcomes: Mapping[str, int], reasons: Mapping[str, int], sounds: Mapping[str, int]) -> Iterator[Row]:
    """Files that hold no music, and those that could not be used."""
    causes = {reason.partition(": ")[2]: count for reason, count in reasons.items()}
    others = causes.pop(_NOT_MUSIC, 0)
    if others:
        what = ", ".join(f"{sound} {count:,}" for sound, count in sorted(sounds.items(), key=lambda item: -item[1]))
        yield 0, others, "not music" + (f": {what}" if what else ""), "left alone; see them: reclass status --failed"
    if broken := outcomes.get("skipped", 0) + outcomes.get("failed", 0) - others:
        yield 0, broken, "could not be used", "see why: reclass status --failed"
        yield from ((1, count, cause_text(reason), "") for reason, count in causes.items())


def cause_text(reason: str) -> str:
    """Why a file has no genre, in words, by the reason of the skip or failure."""
    return _CAUSES.get(reason, reason.replace("_", " "))


def row_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Rows as lines: counts in a column, arrows below each other."""
    rows = list(rows)
    texts = [f"{' ' * 6 * depth}{count:>6,} {what}" for depth, count, what, _ in rows]
    wide = max((len(text) for text, row in zip(texts, rows, strict=True) if row[3] and len(text) <= _ARROW), default=0)
    for text, (_, _, _, then) in zip(texts, rows, strict=True):
        yield f"{text:<{wide}}  -> {then}" if then else text


_ARROW = 64  # characters before the arrow; longer texts push it to the right


def plan_lines(report: WriteReport) -> Iterator[str]:
    """What was decided, and how it stands to the genres that are in the files."""
    rows: list[Row] = []
    for name, (one, several) in _RELATIONS.items():
        changed = report.changes.get(name, 0)
        refused = sum(count for (relation, _), count in report.unwritable.items() if relation == name)
        kept = report.relations.get(name, 0) - changed - refused
        for number, then in ((changed, "to be filled in" if name == "fill" else "to be replaced"), (kept, _KEPT[name])):
            if number > 0:
                rows.append((1, number, one if number == 1 else several, then))
    if report.styles:
        named = "style" if report.styles == 1 else "styles"
        rows.append((1, report.styles, named, "to be written into the field STYLE"))
    if report.unwritable:
        causes: dict[str, int] = {}
        for (_, reason), count in report.unwritable.items():
            causes[reason] = causes.get(reason, 0) + count
        rows.append((1, sum(causes.values()), "cannot be written", "see them: reclass status --failed"))
        rows += [(2, count, not_written(reason), "") for reason, count in causes.items()]
    yield from outcome_lines(report.outcomes, report.reasons, report.expected_right, rows, sounds=report.sounds)


def refusals(counts: Mapping[str, int]) -> str:
    """Why files were not written, by the reason of the failure: counts by cause."""
    return ", ".join(f"{not_written(reason)} {count:,}" for reason, count in counts.items())


def not_written(reason: str) -> str:
    """A reason for which a file was not written, in words."""
    return NOT_WRITTEN.get(reason, reason.replace("_", " "))


def _expectation(decided: int, right: float) -> str:
    if decided >= FEW:
        return f"about {min(round(right), decided):,} of these should be right"
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
