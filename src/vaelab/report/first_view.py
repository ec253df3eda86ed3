"""The first view: verdict, the change to make, why, and the plots that show it. Terminal, pages and notebooks lay out this one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vaelab.causes.changes import present, shown
from vaelab.diagnosis import Diagnosis, Status
from vaelab.report.evidence import EvidencePlot, evidence_plots, leading_finding
from vaelab.report.layout import confidence, headline, plain, sentence
from vaelab.report.numbers import number
from vaelab.words import belief

_CAUSE = " Most likely cause: "
_ENDED = re.compile(r"^Ended; [^:]*: ")
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")


@dataclass(frozen=True)
class SettingChange:
    """One setting to change. now: its present value, empty where it is not known. paste: the line in the trainer's own spelling."""

    setting: str
    now: str
    to: str
    paste: str

    @property
    def text(self) -> str:
        """``kl_weight: 100 -> 1e-6``; the line to paste where the log does not say what is to be replaced."""
        if not self.setting:
            return self.paste
        return f"{self.setting}: {self.now + ' -> ' if self.now else ''}{self.to}"


@dataclass(frozen=True)
class FirstView:
    """word: the status in capitals, in the past where the run has ended. verdict: one sentence with its number. changes: settings
    to change; where there are none, ``todo`` says what to do instead. why: one sentence. sure: how sure that is."""

    status: Status
    word: str
    verdict: str
    changes: tuple[SettingChange, ...]
    todo: str
    label: str
    why: str
    sure: str
    plots: tuple[EvidencePlot, ...]


def first_view(diagnosis: Diagnosis) -> FirstView:
    """What a person needs to know first of one run."""
    ended = diagnosis.facts.ended
    late = ended and diagnosis.status == "stop"
    verdict = (finding_only if late else without_cause)(headline(diagnosis))
    step = diagnosis.next[0] if diagnosis.next else None
    changes = _changes(diagnosis)
    sure = not diagnosis.causes or diagnosis.causes[0].score >= 0.5
    label = ("Change" if sure else "Try") if changes else "Do"
    return FirstView(
        status=diagnosis.status,
        word="SHOULD HAVE STOPPED" if late else diagnosis.status.upper(),
        verdict=sentence(verdict),
        changes=changes,
        todo=sentence(step.text) if step is not None and not changes else "",
        label=label,
        why=_why(diagnosis, verdict),
        sure=confidence(diagnosis),
        plots=tuple(evidence_plots(diagnosis)) if len(diagnosis.run) else (),
    )


def without_cause(headline: str) -> str:
    """A headline without the cause at its end, which is told under *why*."""
    return headline.split(_CAUSE)[0]


def finding_only(headline: str) -> str:
    """A headline without its cause and without ``Ended; change this before the next:`` in front, where the word beside it says so."""
    return _ENDED.sub("", without_cause(headline))


def _changes(diagnosis: Diagnosis) -> tuple[SettingChange, ...]:
    """The settings of the first step. The lines to paste stand in the order of the settings."""
    if not diagnosis.next:
        return ()
    step = diagnosis.next[0]
    if len(step.patch) != len(step.changes):
        return tuple(SettingChange("", "", "", plain(line)) for line in step.patch)
    changes = []
    for (key, value), line in zip(step.changes.items(), step.patch, strict=True):
        now = present(diagnosis.facts, key)
        changes.append(SettingChange(plain(key), "" if now is None else _value(now), _value(value), plain(line)))
    return tuple(changes)


def _value(value: object) -> str:
    """A setting's value; 50,001 and not 50001, for it is read by people."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return plain(shown(value)) if isinstance(value, bool | str) else plain(value)
    return f"{value:,}" if isinstance(value, int) else number(value)


def _why(diagnosis: Diagnosis, verdict: str) -> str:
    """The likeliest cause and what its own test says of this log; without a cause what else the leading finding says, or what went
    well. A number that the verdict has given is not given again."""
    if diagnosis.causes and diagnosis.status in ("watch", "act", "stop"):
        cause = diagnosis.causes[0]
        told = set(_NUMBER.findall(verdict))
        settings = diagnosis.next[0].changes if diagnosis.next else {}
        about = [f.message.split(". ")[0] for f in diagnosis.findings if any(f.message.startswith(s) for s in settings)]
        more = next((text for text in (cause.tested, *about) if text and set(_NUMBER.findall(text)) - told), "")
        return sentence(f"{plain(cause.title)} ({belief(cause.score)} likely){f': {plain(more)}' if more else ''}")
    drawn = [metric for plot in evidence_plots(diagnosis) for metric in plot.metrics] if len(diagnosis.run) else []
    rows = sorted(diagnosis.metrics, key=lambda m: m.metric not in drawn)
    finding = leading_finding(diagnosis)
    if finding is not None:
        rest = plain(finding.message).partition(". ")[2]
        if rest and diagnosis.status != "healthy":
            return sentence(rest.partition(". ")[0])
    good = next((m for m in rows if m.status in ("good", "ok") and m.text), None)
    return sentence(f"{plain(good.original)}: {plain(good.text)}") if good is not None else ""
