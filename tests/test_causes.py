"""The fault catalogue: complete, self-consistent, in terms that other parts of vaelab know; and what is inferred from it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import vaelab
from vaelab.catalog import METRICS
from vaelab.catalog.roles import RoleName
from vaelab.causes import CAUSES, FAMILIES, Cause, infer
from vaelab.causes.changes import Scale, Set, shown
from vaelab.causes.infer import infer_causes
from vaelab.config import load_config
from vaelab.dialects import DIALECTS, canonical_config
from vaelab.own_settings import OPTIONS
from vaelab.rules import ALL_RULES
from vaelab.rules.base import Finding
from vaelab.run import Column, Run

SIZES = {"A": 9, "B": 13, "C": 15, "D": 19, "E": 14, "F": 8, "G": 5, "H": 9, "I": 6}
CHANGES = [(c, change) for c in CAUSES.values() for change in c.change]
CODES = {rule.code for rule in ALL_RULES}
PRESENT: dict[str, Any] = {
    "kl_weight": 1e-6, "perceptual_weight": 1.0, "pixelloss_weight": 1.0, "disc_weight": 0.5, "disc_start": 50_001, "disc_factor": 1.0,
    "disc_lr": 1e-4, "lr": 1e-4, "clip_grad": 1.0, "warmup_steps": 100, "batch_size": 4, "total_steps": 100_000, "ema_decay": 0.999,
    "max_frames": 18, "opt_betas": "0.5,0.9", "latent_channels": 4, "commit_weight": 0.25,
}  # fmt: skip


def test_all_rows_are_there_under_stable_ids() -> None:
    assert Counter(c.family for c in CAUSES.values()) == SIZES
    assert set(FAMILIES) == set(SIZES)
    assert list(CAUSES) == [f"{family}{i}" for family, n in SIZES.items() for i in range(1, n + 1)]
    assert len({c.name for c in CAUSES.values()}) == len(CAUSES)


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_a_cause_says_all_that_a_report_needs(cause: Cause) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cause.name)
    ranked = (cause.expected, cause.falsify) if cause.expects else ()
    for text in (cause.signature, cause.test, cause.advice, *ranked):
        assert text.endswith(".") and "  " not in text
    assert not cause.title.endswith(".")
    assert all(cause.sources.split("; "))
    named_by = {c.id for c in CAUSES.values() if cause.id in dict(c.look_alikes)}
    assert cause.look_alikes or named_by
    for other, how in cause.look_alikes:
        assert other in CAUSES and other != cause.id and how
        assert other not in named_by, f"{cause.id} and {other} are told apart twice"


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_a_cause_expects_what_a_rule_can_find(cause: Cause) -> None:
    roles = set(RoleName.__args__)  # type: ignore[attr-defined]
    for key in cause.expects:
        code, _, subject = key.partition(":")
        assert code in CODES and (not subject or subject in roles | set(METRICS) | {"run"}), key


def test_what_is_no_fault_is_marked_so() -> None:
    assert [c.id for c in CAUSES.values() if not c.fault] == ["C8", "C13", "D5", "D17"]


def test_known_faults_of_trainers_are_causes() -> None:
    for trainer in DIALECTS.values():
        for fault in trainer.known_faults:
            assert fault.cause in CAUSES


# --- changes ----------------------------------------------------------------------------------------------------------------


def facts_of_a_run() -> Any:
    """What the changes compute their values from."""
    return SimpleNamespace(
        scales=SimpleNamespace(effective_beta=1e-4),
        optimiser=SimpleNamespace(suggested=0.83, lr_jumps=()),
        progress=SimpleNamespace(planned=100_000, step=20_000),
        phases=SimpleNamespace(gan=SimpleNamespace(start_step=25_000)),
        run=SimpleNamespace(config={"compression": "4x8x8"}),
    )


def resolved(change: Set | Scale) -> Any:
    for now in (PRESENT.get(change.key), 0.0, 0.5, 50_000):  # some act only where a setting is 0, low, or half the plan
        value = change.resolve(now, facts_of_a_run())
        if value is not None:
            return value
    raise AssertionError(f"{change} never gives a value")


@pytest.mark.parametrize(("cause", "change"), CHANGES, ids=[f"{c.id}-{ch.key}" for c, ch in CHANGES])
def test_a_change_is_an_assignment_that_every_dialect_reads_back(cause: Cause, change: Set | Scale) -> None:
    value = resolved(change)
    assert isinstance(value, float | int | bool | str) and str(change).startswith(f"{change.key}: ")
    assert canonical_config({change.key: value}) == {change.key: value}
    for trainer in DIALECTS.values():
        option = trainer.options.get(change.key, "")
        if trainer.own or "{}" not in option:  # a switch has no value
            continue
        flag, text = re.split(r"[ =:]+", option.format(shown(value)).strip(), maxsplit=1)
        assert canonical_config({flag.lstrip("-"): text})[change.key] == pytest.approx(value)


@pytest.mark.parametrize(("cause", "change"), CHANGES, ids=[f"{c.id}-{ch.key}" for c, ch in CHANGES])
def test_a_change_is_accepted_by_the_trainer(cause: Cause, change: Set | Scale, tmp_path: Path) -> None:
    if change.key not in OPTIONS:
        return  # not an option of vaelab train: the patch leaves it out
    (tmp_path / "config.yaml").write_text("loss:\n  kl_weight: 1.0e-6\n")
    path = OPTIONS[change.key].partition("=")[0].split(".")
    after = load_config(str(tmp_path / "config.yaml"), [OPTIONS[change.key].format(shown(resolved(change)))])
    found = getattr(getattr(after, path[0]), path[1])
    if "{}" in OPTIONS[change.key] and not isinstance(found, tuple):
        assert found == pytest.approx(resolved(change))


# --- inference --------------------------------------------------------------------------------------------------------------


def quiet_run(rows: int = 80) -> Run:
    steps = np.arange(rows, dtype=np.int64) * 10
    columns = {
        name: Column(name, name, level * (1 + np.exp(-steps / 100)), np.ones(rows, bool))
        for name, level in (("rec_loss", 0.05), ("kl_loss", 900.0), ("perceptual_loss", 0.1), ("disc_loss", 0.9))
    }
    return Run("train.log", "csv", "unknown", 0.0, "", steps, columns)


FACTS = vaelab.diagnose(quiet_run()).facts


def found(*codes: str, severity: str = "critical") -> list[Finding]:
    return [Finding(code, code.lower(), severity, code) for code in codes]  # type: ignore[arg-type]


def posterior(*codes: str, reach: float = 1.0, checked: set[str] = CODES, share: float = 0.3) -> Any:
    return infer_causes(FACTS, found(*codes), CAUSES.values(), checked, reach, share)


def test_shares_sum_to_one_and_every_finding_has_its_reason() -> None:
    result = posterior("KL201", "REC117")
    plain = result.healthy - sum(b.share for b in result.beliefs if not b.cause.fault)
    assert plain + result.unlisted + sum(b.share for b in result.beliefs) == pytest.approx(1)
    first = result.beliefs[0]
    assert first.cause.id == "C1"
    assert {r.key for r in first.reasons if r.finding is not None} == {"KL201", "REC117"}
    assert all(r.weight > 0 for r in first.reasons if r.finding is not None)


def test_belief_in_healthy_is_low_where_little_could_be_checked() -> None:
    all_ran, few_ran, few_rows = posterior(), posterior(checked=set()), posterior(reach=0.0)
    assert all_ran.healthy > few_ran.healthy == pytest.approx(few_rows.healthy) == pytest.approx(0.7, abs=0.05)
    assert posterior(share=0.05).healthy > 0.95 > 0.5 > posterior("KL201").healthy


def test_never_speaks_against_and_an_absent_finding_counts_less_than_one_that_is_there() -> None:
    def share(id_: str, *codes: str) -> float:
        return next(b.share for b in posterior(*codes).beliefs if b.cause.id == id_)

    assert share("D4", "ADV305") > 0.2 > share("D4", "ADV305", "KL201")
    assert share("C1", "KL201", "KL206") < share("C1", "KL201")
    assert posterior("QQQ999").unlisted > posterior().unlisted


def test_several_findings_on_one_subject_count_less_than_on_several() -> None:
    def first(*subjects: str) -> float:
        codes = found("KL201", "REC117")
        about = [replace(f, subject=subject) for f, subject in zip(codes, subjects, strict=True)]
        return next(
            r.weight
            for r in infer_causes(FACTS, about, [CAUSES["C1"]], CODES, 1.0).beliefs[0].reasons
            if r.key == "REC117"
        )

    assert first("kl", "reconstruction") == 2 * first("kl", "kl")


def test_what_healthy_runs_often_show_says_little(monkeypatch: pytest.MonkeyPatch) -> None:
    def healthy() -> float:
        return infer_causes(FACTS, found("DAT710", severity="warn"), CAUSES.values(), CODES, 1.0).healthy

    before = healthy()
    monkeypatch.setattr(infer, "COMMON", {})
    assert before > healthy()


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0])
def test_the_share_of_faulty_runs_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match="faulty_share"):
        posterior(share=share)
    with pytest.raises(ValueError, match="faulty_share"):
        vaelab.diagnose(quiet_run(), faulty_share=share)


def test_two_faults_at_once_are_named_both(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaelab.diagnosis.ranking import link, rank

    findings = [*found("KL201", "REC117"), *found("NUM504", "NUM509")]
    _, causes = rank(FACTS, findings, CODES)
    assert {causes[0].id, causes[1].id} == {"C1", "F8"} or {causes[0].id, causes[1].id} == {"C1", "F1"}
    assert causes[1].also and not set(causes[0].findings) & set(causes[1].findings)
    by = {f.code: f.explained_by for f in link(FACTS, findings, causes)}
    assert by == {"KL201": None, "REC117": "KL201", "NUM504": None, "NUM509": "NUM504"}


def test_a_log_answers_the_test_of_a_cause_where_it_can() -> None:
    run = quiet_run()
    config = {"disc_start": 5000, "total_steps": 1000, "perceptual_weight": 0.0}
    facts = vaelab.diagnose(replace(run, config=config)).facts
    never = CAUSES["B13"].check
    assert never is not None
    answer = never(facts)
    assert answer is not None and answer.holds and "0" in answer.text
    assert all(c.check is None or c.check(FACTS) is None or c.check(FACTS).text for c in CAUSES.values())  # type: ignore[union-attr]
