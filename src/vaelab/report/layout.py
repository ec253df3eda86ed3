"""What every report lays out the same way: words for statuses, order and nesting of findings, markers on the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from vaelab.catalog import METRICS
from vaelab.diagnosis import Diagnosis, MetricVerdict, NextStep
from vaelab.facts.base import Evidence, Phase
from vaelab.patterns import pattern
from vaelab.report.numbers import number, quantity, step_range, steps
from vaelab.rules.base import SEVERITY_ORDER, Finding, Skipped
from vaelab.run import Run
from vaelab.words import belief

WORST_FIRST = ("stop", "act", "watch", "cannot-tell", "healthy")
STATUS_TEXT = {
    "healthy": "Healthy: carry on",
    "watch": "Carry on, and look again",
    "act": "Change something",
    "stop": "Stop this run",
    "cannot-tell": "This log cannot tell",
}
ENDED_TEXT = {
    "healthy": "Healthy to its end",
    "watch": "Ended: look again before the next run",
    "act": "Ended: change something before the next run",
    "stop": "Ended: it should have been stopped",
}
METRIC_STATUS_TEXT = {
    "good": "good",
    "ok": "ok",
    "watch": "watch",
    "bad": "bad",
    "info": "info",
    "cannot-tell": "cannot tell",
}
EVENT_TEXT = {
    "resume": "resume",
    "restart": "restart",
    "crash": "crash",
    "non_finite_stop": "stopped on NaN or inf",
    "data_error": "data error",
    "finished": "finished",
}

# Control characters (terminal escapes among them) and text-direction overrides never reach a report.
_UNPRINTABLE = pattern("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """``text`` without terminal control characters: names in a log are other people's text."""
    return _UNPRINTABLE.sub("", str(text))


def status_text(diagnosis: Diagnosis) -> str:
    """The status in words; a run that has ended is not told to stop or to carry on."""
    return status_words(diagnosis.status, diagnosis.facts.ended)


def status_words(status: str, ended: bool) -> str:
    """The same of a status that is shown apart from its diagnosis."""
    return ENDED_TEXT.get(status, STATUS_TEXT[status]) if ended else STATUS_TEXT[status]


def sentence(text: str) -> str:
    """``text`` ended by exactly one full stop (or the mark it has)."""
    text = plain(text).rstrip()
    return text if not text or text[-1] in ".?!:" else f"{text}."


def headline(diagnosis: Diagnosis) -> str:
    """The headline without the status word in front of it, for layouts that show the status beside it."""
    text = plain(diagnosis.headline)
    for prefix in (f"{diagnosis.status}: ", f"{diagnosis.status} "):
        if text.lower().startswith(prefix.replace("-", " ")):
            rest = text[len(prefix) :]
            return rest[:1].upper() + rest[1:] if prefix.endswith(" ") and rest.startswith("in ") else rest
    return text


def confidence(diagnosis: Diagnosis) -> str:
    """``Confidence 83%: why.`` or ``Confidence 83% that something is wrong.``"""
    why = sentence(diagnosis.confidence_text)
    joint = "" if not why else " " if why.startswith("that ") else ": "
    return f"Confidence {belief(diagnosis.confidence)}{joint}{why or '.'}"


def metric_title(metric: str) -> str:
    """``reconstruction loss`` for ``rec_loss``, ``reconstruction loss (val)`` for ``val/rec_loss``."""
    split, _, name = metric.rpartition("/")
    title = METRICS[name].title if name in METRICS else plain(name)
    return f"{title} ({plain(split)})" if split else title


def natural_text(m: MetricVerdict) -> str:
    """``PSNR 14.9 to 19.2 dB``; for a bound ``PSNR at least 4.1, now 11.6 dB``; empty where nothing is known."""
    if m.natural_now is None:
        return ""
    now = quantity(m.natural_now, m.natural_unit)
    if m.natural_first is None:
        return f"{m.natural_name} {now}"
    first = quantity(m.natural_first, m.natural_unit).removesuffix(m.natural_unit).strip()
    # of a bound "0.3 to 3.7" would read as the interval it leaves open
    return f"{m.natural_name} {first}{', now' if 'at least' in m.natural_name else ' to'} {now}"


def evidence_text(evidence: Evidence) -> str:
    """``KL share 97.3% (step 2,080, line 105)``."""
    where = ", ".join(
        f"{name} {value:,}" for name, value in (("step", evidence.step), ("line", evidence.line)) if value is not None
    )
    return plain(f"{evidence.name} {quantity(evidence.value, evidence.unit)}" + (f" ({where})" if where else ""))


@dataclass(frozen=True)
class FindingNode:
    """A finding with the findings that follow from it. ``follows_from`` is set if it follows from a cause."""

    finding: Finding
    children: list[FindingNode] = field(default_factory=list)
    follows_from: str | None = None


def finding_tree(findings: Sequence[Finding]) -> list[FindingNode]:
    """Findings, gravest first, each under the one it is ``explained_by``; what names no finding here stays on top."""
    ordered = sorted(findings, key=lambda f: (-SEVERITY_ORDER[f.severity], f.first_step or 0))
    nodes = [FindingNode(f, follows_from=f.explained_by) for f in ordered]
    first_with: dict[str, FindingNode] = {}
    for node in nodes:
        first_with.setdefault(node.finding.code, node)
    roots = []
    for node in nodes:
        parent = first_with.get(node.follows_from or "")
        if parent is None or _is_inside(parent, node, first_with):
            roots.append(node)
        else:
            parent.children.append(node)
    return roots


def _is_inside(node: FindingNode, other: FindingNode, first_with: dict[str, FindingNode]) -> bool:
    """Whether ``node`` is ``other`` or hangs below it; two findings that explain each other must both be shown."""
    seen: list[FindingNode] = []
    current: FindingNode | None = node
    while current is not None and current not in seen:
        if current is other:
            return True
        seen.append(current)
        current = first_with.get(current.follows_from or "")
    return current is not None


def flatten(tree: Sequence[FindingNode], depth: int = 0) -> list[tuple[int, FindingNode]]:
    """``(depth, node)`` in reading order."""
    return [row for node in tree for row in ((depth, node), *flatten(node.children, depth + 1))]


def skipped_by_missing(skipped: Sequence[Skipped]) -> list[tuple[tuple[str, ...], list[Skipped]]]:
    """Rules that could not run, grouped by what they missed; the most frequent lack first."""
    groups: dict[tuple[str, ...], list[Skipped]] = {}
    for rule in skipped:
        groups.setdefault(rule.missing, []).append(rule)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


_NEED_TEXT = {
    "gan-active": "an active GAN",
    "gan-start-seen": "a GAN start inside the log",
    "nats-per-element": "the latent's shape",
    "psnr": "a known squared error",
    "effective-beta": "a known KL weight and reduction",
    "total_steps": "the planned steps",
    "config": "the run's settings",
    "resume": "a resume",
}


def needed(need: str) -> str:
    """A need of a rule in words: alternatives are joined by ``or``; names of columns stay as they are, held-out ones without the split."""
    parts = plain(need).split("|")
    if len(parts) > 2 and all(part.startswith(("val/", "test/")) for part in parts):
        return f"a held-out {' or '.join(dict.fromkeys(part.partition('/')[2] for part in parts))}"
    return " or ".join(dict.fromkeys(_need_text(part) for part in parts))


def _need_text(need: str) -> str:
    """What was not measured is named by the command that measures it."""
    if need.startswith("evaluation."):
        return "vaelab evaluate"
    if need.startswith("probe."):
        of_training = need.startswith(("probe.disc_", "probe.clip_", "probe.grad_")) or "gradient" in need
        return "vaelab probe --discriminator" if of_training else "vaelab probe"
    return _NEED_TEXT.get(need, need)


def new_patch_lines(steps: Sequence[NextStep]) -> list[tuple[str, ...]]:
    """The patch of each step without the lines that an earlier step has: two causes may ask for the same change."""
    seen: set[str] = set()
    patches = []
    for step in steps:
        patches.append(tuple(line for line in step.patch if line not in seen))
        seen.update(step.patch)
    return patches


@dataclass(frozen=True)
class Marker:
    """A moment to mark on a step axis."""

    step: int
    kind: Literal["phase", "event"]
    label: str
    letter: str


def shown_phases(diagnosis: Diagnosis) -> list[Phase]:
    """Phases in order of steps; ``whole`` only where there is nothing finer."""
    fine = [p for p in diagnosis.phases if p.kind != "whole"]
    return sorted(fine or diagnosis.phases, key=lambda p: (p.first_step, p.last_step))


def phase_spans(diagnosis: Diagnosis) -> list[tuple[Phase, int, int]]:
    """Phases with the steps to shade: up to where the next one begins, so that no gap is left between logged rows."""
    phases = shown_phases(diagnosis)
    ends = [*(p.first_step for p in phases[1:]), *(p.last_step for p in phases[-1:])]
    return [(p, p.first_step, max(end, p.last_step)) for p, end in zip(phases, ends, strict=True)]


def markers(diagnosis: Diagnosis) -> list[Marker]:
    """Where a phase begins that the reader looks for (GAN start, LR decay) and what happened (resume, crash ...)."""
    found = [
        Marker(phase.first_step, "phase", "GAN start" if phase.kind == "gan-start" else "LR decay", letter)
        for phase in shown_phases(diagnosis)
        for kind, letter in (("gan-start", "G"), ("lr-decay", "D"))
        if phase.kind == kind
    ]
    if not any(m.letter == "G" for m in found):
        gan = [p for p in shown_phases(diagnosis) if p.kind == "gan"]
        if gan and gan[0].first_row > 0:
            found.append(Marker(gan[0].first_step, "phase", "GAN start", "G"))
    for event in diagnosis.run.events:
        if event.kind in EVENT_TEXT and event.step is not None:
            letter = "R" if event.kind in ("resume", "restart") else "F" if event.kind == "finished" else "X"
            found.append(Marker(event.step, "event", EVENT_TEXT[event.kind], letter))
    return sorted(set(found), key=lambda m: (m.step, m.label))


def marker_text(found: Sequence[Marker], at_most: int = 4, letters: bool = True) -> str:
    """``G GAN start at 2,000; R resume at 6,000, 8,000``: one entry a label, at most ``at_most`` steps each."""
    by_label: dict[str, list[int]] = {}
    for marker in found:
        by_label.setdefault(f"{marker.letter} {marker.label}" if letters else marker.label, []).append(marker.step)
    parts = []
    for label, at in by_label.items():
        more = f" and {len(at) - at_most} more" if len(at) > at_most else ""
        parts.append(f"{label} at {', '.join(steps(s) for s in at[:at_most])}{more}")
    return "; ".join(parts)


def event_summary(run: Run) -> str:
    """How often each kind of event happened, and where it first did: ``resume 1 (first at step 6,980)``."""
    parts = []
    for kind in dict.fromkeys(e.kind for e in run.events):
        same = [e for e in run.events if e.kind == kind]
        at = next((e.step for e in same if e.step is not None), None)
        first = f" ({'first ' if len(same) > 1 else ''}at {run.step_unit} {steps(at)})" if at is not None else ""
        parts.append(f"{EVENT_TEXT.get(kind, kind.replace('_', ' '))}: {len(same)}{first}")
    return "; ".join(parts)


def run_line(run: Run) -> str:
    """``pyramid_flow (metric_logger), 500 rows, steps 0 to 9,980``."""
    span = f", {step_range(int(run.steps[0]), int(run.steps[-1]), run.step_unit)}" if len(run) else ""
    return plain(f"{run.trainer} ({run.format}), {len(run):,} row{'' if len(run) == 1 else 's'}{span}")


def common_folder(diagnoses: Sequence[Diagnosis]) -> str:
    """The folder that all logs lie under, with a slash at its end; empty if there is none worth naming, or one run."""
    if len(diagnoses) < 2:
        return ""
    folders = [plain(d.run.source).rpartition("/")[0].split("/") for d in diagnoses]
    shared = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared) + "/" if any(shared) else ""


def trainer_text(run: Run) -> str:
    """How sure it is which trainer wrote the log, and why."""
    if run.trainer == "unknown":
        return "trainer not recognised" + (f": {plain(run.trainer_reason)}" if run.trainer_reason else "")
    return plain(f"{run.trainer}, confidence {number(run.trainer_confidence, 2)}: {run.trainer_reason}")


def phase_weights(phases: Sequence[Phase], width: int, smallest: int = 2) -> list[int]:
    """Widths of the phases on a strip of ``width`` cells: proportional to steps, none under ``smallest``; they sum to
    ``width`` (or to ``smallest`` each where there are too many phases)."""
    if not phases:
        return []
    spans = [max(p.last_step - p.first_step, 1) for p in phases]
    free = max(width - smallest * len(phases), 0)
    cells = [smallest + int(free * span / sum(spans)) for span in spans]
    cells[spans.index(max(spans))] += max(width, smallest * len(phases)) - sum(cells)
    return cells
