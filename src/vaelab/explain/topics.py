"""Finding a topic and explaining it: for the command line, for agents and for the pages of the site."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from vaelab.catalog import METRICS, Band, Metric, canonical
from vaelab.causes import CAUSES, FAMILIES, Cause
from vaelab.config.foreign import sources
from vaelab.config.options import OPTIONS
from vaelab.dialects import DIALECTS, Dialect, conventions
from vaelab.errors import ConfigError
from vaelab.explain.setting import explain_setting
from vaelab.explain.standing import holding_first, pictures
from vaelab.explain.text import Explanation, Section
from vaelab.facts import infer
from vaelab.facts.derived import under_known_names
from vaelab.lint import KNOWN_BUGS, LINT_RULES, Bug, LintRule
from vaelab.rules.base import Rule
from vaelab.run import Run

THUMBS = "Rules of thumb"


def explain(topic: str, trainer: str | None = None) -> Explanation:
    """Explain ``topic``: a metric under any alias, a rule's code or name (of diagnose or lint), a cause's id or name, a
    trainer's id, the code of a known fault of one (PF-1), or a setting (kl_weight).

    trainer: give the formulas of this trainer only. Raises ConfigError, with the closest matches, if the topic or the
    trainer is unknown.
    """
    chosen = _trainer(trainer) if trainer is not None else None
    word = topic.strip()
    key = _key(word)
    rule = _rules().get(key)
    cause = next((c for c in CAUSES.values() if key in (_key(c.id), _key(c.name))), None)
    if cause is not None:
        return explain_cause(cause)
    if rule is not None:
        return explain_rule(rule)
    if (metric := _metric(word)) is not None:
        return _with_setting(explain_metric(metric, chosen), word)
    if key in _trainer_keys():
        return explain_trainer(_trainer_keys()[key])
    if key in _bugs():
        return explain_bug(_bugs()[key])
    if (setting := explain_setting(word)) is not None:
        return setting
    raise ConfigError(_unknown(word))


def _with_setting(metric: Explanation, word: str) -> Explanation:
    """``metric`` with what it is as a setting, where it is one too: a weight or a rate that trainers also log."""
    setting = explain_setting(word)
    known = {section.heading for section in metric.sections}
    added = () if setting is None else tuple(s for s in setting.sections if s.heading not in known)
    return replace(metric, sections=metric.sections + added)


def explain_in_run(topic: str, run: Run, trainer: str | None = None) -> Explanation:
    """The same with the formulas of the run's trainer (not of a fork's parent) and, for a metric, what the run logged of it and
    where it stands in the rules of thumb."""
    followed = conventions(run.trainer, run.config, (c.original for c in run.columns.values()))
    known = followed.id if followed.id != "unknown" and not followed.fork else None
    explanation = explain(topic, trainer or known)
    if explanation.kind != "metric":
        return explanation
    name = canonical(topic) if canonical(topic) in run else explanation.name
    standing = pictures(name, infer(under_known_names(run)))
    others = [_numbered(s) if standing and s.heading == THUMBS else s for s in explanation.sections]
    return replace(explanation, sections=(_in_run(name, run), *standing, *others))


def _numbered(section: Section) -> Section:
    """The rules of thumb with the numbers by which the picture names them."""
    return replace(section, lines=tuple(f"{number}. {line}" for number, line in enumerate(section.lines, 1)))


def explain_metric(metric: Metric, trainer: Dialect | None = None) -> Explanation:
    """Meaning, formulas, unit, reading, purpose and rules of thumb of ``metric``."""
    sections = [
        Section("What it measures", _lines(metric.meaning)),
        Section("Unit", _lines(metric.unit)),
        Section("Better", _lines({"down": "lower", "up": "higher", "zero": "near zero"}.get(metric.direction, ""))),
        Section("How to read it", _lines(metric.read_as)),
        Section("Formula", _formulas(metric.name, trainer)),
        Section("What it is there for", _lines(metric.fixes)),
        Section("Without it", _lines(metric.without)),
        Section(THUMBS, tuple(_band(band) for band in holding_first(metric.bands))),
        Section("Names in logs", _lines(", ".join(metric.aliases))),
        Section("Sources", metric.sources),
    ]
    return Explanation("metric", metric.name, metric.title, tuple(s for s in sections if s.lines))


def explain_cause(cause: Cause) -> Explanation:
    """Signature, look-alikes, test, fix and sources of ``cause``; a rule of the same name is pointed to."""
    rule = _rules().get(_key(cause.name))
    shows: dict[str, list[str]] = {}
    for key, word in cause.expects.items():
        shows.setdefault(word, []).append(key)
    if not shows:
        shows["no log and no measurement shows it"] = []
    sections = [
        Section("Kind", (f"{FAMILIES[cause.family]}{'' if cause.fault else '; not a fault, but looks like one'}",)),
        Section("What it looks like", (cause.signature,)),
        Section("What it is mistaken for", tuple(_mistaken_for(cause))),
        Section("Findings", tuple(f"{word}: {', '.join(keys)}".rstrip(": ") for word, keys in shows.items())),
        Section("Cheapest test", (cause.test, *(("The log answers it where it can.",) if cause.check else ()))),
        Section("What to change", (cause.advice, *map(str, cause.change))),
        Section("What to expect then", _lines(cause.expected)),
        Section("What would show that it was not this", _lines(cause.falsify)),
        Section("Rule of the same name", (rule.code,) if rule else ()),
        Section("Sources", tuple(cause.sources.split("; "))),
    ]
    return Explanation("cause", cause.id, f"{cause.name}: {cause.title}", tuple(s for s in sections if s.lines))


def _mistaken_for(cause: Cause) -> Iterator[str]:
    """Its look-alikes, and the causes that name it as theirs."""
    for other, how in cause.look_alikes:
        yield f"{other} {CAUSES[other].name}: {how}"
    for by in CAUSES.values():
        for _, how in (pair for pair in by.look_alikes if pair[0] == cause.id):
            yield f"{by.id} {by.name}, whose entry says of this one: {how}"


def explain_rule(rule: type[Rule] | type[LintRule]) -> Explanation:
    """The documentation of ``rule``: its docstring cut at the section headings."""
    summary, sections = _docstring(rule.documentation())
    if needs := getattr(rule, "needs", ()):  # rules of lint need no columns
        sections.append(Section("Columns and facts it needs", needs))
    return Explanation("rule", rule.code, f"{rule.name}: {summary}".rstrip(": "), tuple(sections))


def explain_bug(bug: Bug) -> Explanation:
    """A known fault of a public trainer's code: where it is, when it bites, what to do."""
    places = (f"{sources()[t].title}: {sources()[t].source}, {bug.place(t)}" for t in bug.trainers)
    rules = tuple(f"{rule.code} {rule.name}" for rule in LINT_RULES if rule.code == bug.rule)
    sections = [
        Section("When it bites", (bug.when.text,)),
        Section("How bad", (bug.severity,)),
        Section("What to do", tuple(dict.fromkeys((bug.fix, *bug.patch)))),
        Section("Rule that finds it in the settings", rules),
        Section("Where", tuple(places)),
    ]
    return Explanation("known fault", bug.code, bug.title, tuple(s for s in sections if s.lines))


def explain_trainer(trainer: Dialect) -> Explanation:
    """Formulas, conventions, defaults and known faults of ``trainer``."""
    conventions = {
        "rec_loss holds": trainer.rec_kind,
        "nll reduction": trainer.nll_reduction,
        "KL reduction": trainer.kl_reduction,
        "discriminator loss": trainer.disc_loss_family,
        "input range": "{:g} to {:g}".format(*trainer.input_range) if trainer.input_range else "unknown",
    }
    faults = (f"{f.cause} {CAUSES[f.cause].name}: {f.text}" for f in trainer.known_faults)
    sections = [
        Section("Formulas", tuple(f"{name} = {formula}" for name, formula in trainer.formulas.items())),
        Section("Conventions", tuple(f"{k}: {v}" for k, v in conventions.items() if v != "unknown")),
        Section("Defaults", tuple(f"{k}: {v:g}" for k, v in trainer.defaults.items())),
        Section("Known faults of its code", tuple(faults)),
        Section(
            "Recognised by the columns", tuple(", ".join(sorted(s.columns)) for s in trainer.recognised_by if s.columns)
        ),
    ]
    return Explanation("trainer", trainer.id, trainer.title, tuple(s for s in sections if s.lines))


def first_sentence(documentation: str) -> str:
    """The first sentence of a docstring, without its final stop."""
    paragraph = " ".join(documentation.strip().split("\n\n")[0].split())
    return re.split(r"\.\s", paragraph + " ")[0].rstrip(". ")


def _docstring(text: str) -> tuple[str, list[Section]]:
    """Summary and sections of a rule's docstring; a section starts with its title as a heading or before a colon."""
    titles = ("What it checks", "Why it matters", "Evidence it needs", "What to do", "References")
    start = re.compile(rf"^[#*\s]*({'|'.join(titles)})[*\s]*[:.]?[*\s]*(.*)$", re.IGNORECASE)
    summary: list[str] = []
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if match := start.match(line):
            found.append((match[1], [match[2]]))
        elif not re.fullmatch(r"\s*[-=~]{3,}\s*", line):
            (found[-1][1] if found else summary).append(line)
    sections = [Section(title, _paragraphs(lines)) for title, lines in found]
    return " ".join(" ".join(summary).split()), [s for s in sections if s.lines]


def _paragraphs(lines: list[str]) -> tuple[str, ...]:
    blocks = re.split(r"\n\s*\n|\n(?=\s*[-*] )", "\n".join(lines))
    return tuple(text for block in blocks if (text := " ".join(block.split())))


def _metric(word: str) -> Metric | None:
    name = canonical(word)
    return METRICS.get(name) or METRICS.get(name.split("/", 1)[-1]) or METRICS.get(canonical(word.replace("-", "_")))


def _rules() -> Mapping[str, type[Rule] | type[LintRule]]:
    from vaelab.rules import ALL_RULES

    rules: list[type[Rule] | type[LintRule]] = [*ALL_RULES, *LINT_RULES]
    return {_key(name): rule for rule in rules for name in (rule.code, rule.name)}


def _bugs() -> Mapping[str, Bug]:
    return {_key(code): bug for code, bug in KNOWN_BUGS.items()}


def _trainer_keys() -> dict[str, Dialect]:
    return {_key(t.id): t for t in DIALECTS.values() if t.id != "unknown"}


def _trainer(name: str) -> Dialect:
    found = _trainer_keys().get(_key(name))
    if found is None:
        raise ConfigError(f"No trainer is called {name!r}. Known ones: {', '.join(sorted(_trainer_keys()))}.")
    return found


def _key(text: str) -> str:
    return text.strip().lower().replace("_", "-").replace(" ", "-")


def _unknown(word: str) -> str:
    names: dict[str, str] = {_key(alias): alias for m in METRICS.values() for alias in (m.name, *m.aliases)}
    names |= {_key(c.name): c.name for c in CAUSES.values()} | {_key(i): i for i in CAUSES}
    names |= {key: rule.code for key, rule in _rules().items()} | {key: key for key in _trainer_keys()}
    names |= {key: bug.code for key, bug in _bugs().items()}
    names |= {_key(o.name): o.name for o in OPTIONS.values()}
    close = [names[match] for match in difflib.get_close_matches(_key(word), list(names), n=4, cutoff=0.6)]
    hint = f"Did you mean {', '.join(dict.fromkeys(close))}?" if close else "Try a column's name, C2, or a rule's code."
    return f"Nothing is known of {word!r}. {hint}"


def _formulas(metric: str, trainer: Dialect | None) -> tuple[str, ...]:
    """The trainer's formula. Without a trainer each formula once, the most common first; the others refer to it where they hold it."""
    if trainer is not None:
        formula = trainer.formulas.get(metric)
        return (f"{trainer.title}: {formula}" if formula else f"{trainer.title}: not in its log, or not known.",)
    trainers: dict[str, list[str]] = {}
    for t in DIALECTS.values():
        if metric in t.formulas:
            trainers.setdefault(t.formulas[metric], []).append(t.id)
    usual, *others = sorted(trainers, key=lambda formula: -len(trainers[formula])) or [""]
    shared = len(trainers.get(usual, ())) > 1
    texts = [usual, *(f.replace(usual, "the usual one") if shared else f for f in others)]
    return tuple(
        f"{text} ({', '.join(trainers[formula])})"
        for text, formula in zip(texts, [usual, *others], strict=True)
        if text
    )


def _band(band: Band) -> str:
    condition = "" if band.condition == "any" else f" ({band.condition})"
    return f"{band.standing.upper()}: {band.name}{condition}. {band.why} Source: {band.source}."


def _lines(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _in_run(name: str, run: Run) -> Section:
    steps, values = run.series(name)
    heading = f"In {run.source}"
    if not len(values):
        return Section(heading, (f"{name} is not in this log, or has no finite value.",))
    column = run.columns[name]
    lines: list[Any] = [
        f"logged as {column.original}, {len(values):,} values",
        f"first {values[0]:.6g} at {run.step_unit} {steps[0]:,}, last {values[-1]:.6g} at {run.step_unit} {steps[-1]:,}",
        f"lowest {values.min():.6g}, highest {values.max():.6g}",
    ]
    if column.smoothing.kind != "none":
        window = f" of {column.smoothing.window}" if column.smoothing.window else ""
        lines.append(
            f"the trainer printed a {column.smoothing.kind.replace('_', ' ')}{window}, not the value of that step"
        )
    return Section(heading, tuple(lines))
