"""diagnose(): never raises, holds its word as a log grows, and its parts fit together."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vaelab
from synthetic_runs import Draft, draft, healthy, resumed
from vaelab.causes import CAUSES
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.dialects import DIALECTS
from vaelab.rules import ALL_RULES
from vaelab.run import Event, Run, Smoothing

CASES = Path(__file__).parent / "data/cases"
TRUTHS = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(CASES.glob("*.json"))}
CODES = {rule.code for rule in ALL_RULES}
STATUSES = {"healthy", "watch", "act", "stop", "cannot-tell"}


def consistent(diagnosis: Diagnosis) -> None:
    """What holds for every diagnosis whatever the run."""
    run = diagnosis.run
    assert diagnosis.status in STATUSES
    assert 0 <= diagnosis.confidence <= 1
    assert diagnosis.headline and diagnosis.next and diagnosis.questions
    codes = {f.code for f in diagnosis.findings}
    assert codes <= CODES
    assert not codes & {s.code for s in diagnosis.skipped}
    for finding in diagnosis.findings:
        assert finding.message
        assert finding.explained_by is None or finding.explained_by in codes | set(CAUSES)
        assert finding.explained_by != finding.code
        steps = [s for s in (finding.first_step, finding.last_step) if s is not None]
        assert all(run.steps[0] <= s <= run.steps[-1] for s in steps), (finding.code, steps)
        assert steps == sorted(steps), (finding.code, steps)
    scores = [c.score for c in diagnosis.causes if not c.also]
    assert sum(scores) <= 1 + 1e-9 and scores == sorted(scores, reverse=True)
    assert [i for i, c in enumerate(diagnosis.causes) if c.also] in ([], [1])
    for cause in diagnosis.causes:
        assert cause.id in CAUSES and 0 <= cause.score <= 1 and set(cause.findings) <= codes
    worst = max((("info", "warn", "critical").index(f.severity) for f in diagnosis.findings), default=0)
    assert (diagnosis.status in ("act", "stop")) == (worst == 2)
    assert diagnosis.status != "healthy" or worst == 0


# --- never raises -------------------------------------------------------------------------------------------------------------

METRICS = (
    "total_loss", "nll_loss", "rec_loss", "perceptual_loss", "kl_loss", "disc_loss", "logits_real", "logits_fake", "g_loss",
    "d_weight", "disc_factor", "grad_norm", "lr", "disc_lr", "logvar", "loss_scale", "step_time", "data_time",
    "val/rec_loss", "psnr", "quant_loss", "something_else",
)  # fmt: skip
odd_numbers = st.sampled_from(
    [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e300, 1e-300, 5e-324, 1e154, -1.0, 1.0, 1e16, 255.0]
)
ordinary = st.floats(1e-6, 1e5)


@st.composite
def shapes(draw: Any, rows: int) -> np.ndarray:
    """A column: ordinary, constant, odd all through, mostly ordinary with odd values, or a trend."""
    kind = draw(st.sampled_from(["ordinary", "constant", "odd", "mixed", "trend", "negative", "late", "huge"]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    if kind == "constant":
        return np.full(rows, draw(st.one_of(odd_numbers, ordinary)))
    base = draw(ordinary) * np.exp(rng.normal(0, draw(st.sampled_from([0.0, 0.05, 1.0])), rows))
    if kind == "odd":
        return np.array([draw(odd_numbers) for _ in range(min(rows, 12))] * (rows // 12 + 1))[:rows]
    if kind == "mixed" and rows:
        for _ in range(draw(st.integers(1, 5))):
            base[draw(st.integers(0, rows - 1))] = draw(odd_numbers)
    if kind == "trend":
        base = base * np.exp(np.linspace(0, draw(st.floats(-20, 20)), rows))
    if kind == "negative":
        base = -base
    if kind == "late":
        base[: rows // 2] = draw(st.sampled_from([0.0, math.nan]))
    if kind == "huge":
        base = base * 1e300
    return base


odd_config = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**6), st.floats(), st.text(max_size=8), st.just("17,256,256"),
    st.lists(st.one_of(st.integers(-3, 300), st.text(max_size=3), st.none()), max_size=5), st.just({"a": 1}),
    st.just(10**400), st.just("1e-6"),
)  # fmt: skip
CONFIG_KEYS = (
    "kl_weight", "pixelloss_weight", "perceptual_weight", "disc_weight", "disc_start", "disc_factor", "disc_loss", "lr",
    "clip_grad", "total_steps", "warmup_steps", "iters_per_epoch", "latent_shape", "clip_shape", "compression",
    "input_range", "latent_channels", "input_channels", "resolution", "max_frames", "ch_mult", "add_discriminator",
)  # fmt: skip


@st.composite
def runs(draw: Any) -> Run:
    rows = draw(st.sampled_from([0, 1, 2, 3, 5, 8, 13, 20, 30, 45, 70]))
    names = draw(st.lists(st.sampled_from(METRICS), max_size=9, unique=True))
    columns = {name: draw(shapes(rows)) for name in names}
    out = Draft(
        np.cumsum(np.array(draw(st.lists(st.integers(1, 1000), min_size=rows, max_size=rows)), np.int64)),
        columns,
        draw(st.sampled_from(list(DIALECTS))),
        draw(st.sampled_from(["csv", "metric_logger", "radiodiff_log", "tensorboard", "json"])),
        draw(st.dictionaries(st.sampled_from(CONFIG_KEYS), odd_config, max_size=6)),
    )
    for name in names:
        out.decimals[name] = draw(st.sampled_from([None, None, 0, 2, 4]))
        kind = draw(st.sampled_from(["none", "none", "window_median", "epoch_mean", "unknown"]))
        out.smoothing[name] = Smoothing(kind, 20 if kind == "window_median" else None)
        if kind == "window_median":
            out.means[name] = columns[name] * draw(st.sampled_from([1.0, 1.1]))
        if draw(st.booleans()):
            out.logged[name] = np.ones(rows, bool)
    if draw(st.booleans()) and rows:
        out.epochs = np.arange(rows) // draw(st.integers(1, 20))
    kinds = st.sampled_from(["resume", "restart", "crash", "non_finite_stop", "data_error", "note", "finished"])
    for _ in range(draw(st.integers(0, 3))):
        step = draw(st.one_of(st.none(), st.sampled_from(out.steps.tolist() or [None])))
        out.events.append(Event(draw(kinds), step, draw(st.one_of(st.none(), st.integers(1, 99))), "text"))
    with np.errstate(all="ignore"):
        return out.run()


@given(runs())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_run_however_odd_raises(run: Run) -> None:
    with np.errstate(all="ignore"):
        diagnosis = diagnose(run)
    consistent(diagnosis)


@given(st.sampled_from(["pyramid_flow", "radiodiff", "ldm", "unknown"]), st.data())
@settings(max_examples=60, deadline=None)
def test_any_subset_of_columns_with_a_few_odd_values_is_diagnosed(system: str, data: Any) -> None:
    out = healthy(system, data.draw(st.integers(0, 20)), rows=data.draw(st.integers(2, 90)))
    names = data.draw(st.lists(st.sampled_from(sorted(out.columns)), min_size=1, unique=True))
    out.keep(*names)
    for _ in range(data.draw(st.integers(0, 4))):
        name = data.draw(st.sampled_from(names))
        row = data.draw(st.integers(0, len(out.steps) - 1))
        out.columns[name] = out.columns[name].copy()
        out.columns[name][row] = data.draw(odd_numbers)
    with np.errstate(all="ignore"):
        consistent(diagnose(out.run()))


@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_and_one_row_cannot_tell(rows: int) -> None:
    diagnosis = diagnose(healthy("pyramid_flow", 0).head(rows).run())
    assert diagnosis.status == "cannot-tell" and diagnosis.confidence == 0
    assert "Cannot tell" in diagnosis.headline


# --- select, ignore ------------------------------------------------------------------------------------------------------------


def faulty() -> Run:
    out = healthy("pyramid_flow", 0, gan_at=None)
    out.columns["rec_loss"] = out.columns["rec_loss"] * np.where(np.arange(300) >= 200, 6.0, 1.0)
    return out.run()


def test_select_runs_only_these_rules_and_ignore_all_but_these() -> None:
    everything = diagnose(faulty())
    assert {"DAT701", "MET1002"} <= {f.code for f in everything.findings}
    assert {f.code for f in diagnose(faulty(), select=["MET1002"]).findings} == {"MET1002"}
    families = {f.code for f in diagnose(faulty(), select=["MET", "KL2"]).findings}
    assert families and all(c.startswith(("MET", "KL2")) for c in families)
    rest = {f.code for f in diagnose(faulty(), ignore=["DAT", "MET1002"]).findings}
    assert rest == {c for c in (f.code for f in everything.findings) if not c.startswith("DAT") and c != "MET1002"}
    assert not {f.code for f in diagnose(faulty(), select=["DAT701"], ignore=["DAT"]).findings}


def test_what_follows_from_another_finding_says_so_only_where_that_one_is_there() -> None:
    linked = {f.code: f.explained_by for f in diagnose(faulty()).findings}
    assert linked["MET1002"] == "DAT701"
    without = {f.code: f.explained_by for f in diagnose(faulty(), ignore=["DAT701"]).findings}
    # a changed weight moves the total, and not rec_loss
    assert without["MET1002"] is None and "DAT701" not in without.values()


# --- as a log grows --------------------------------------------------------------------------------------------------------------


@cache
def read(name: str) -> Run:
    (log,) = [p for p in CASES.iterdir() if p.name.startswith(name + ".") and p.suffix == ".gz"]
    return vaelab.read(log)


def cut(run: Run, rows: int) -> Run:
    """The log as it was after ``rows`` rows."""
    last = run.steps[rows - 1]
    columns = {}
    for name, c in run.columns.items():
        columns[name] = replace(
            c,
            values=c.values[:rows].copy(),
            logged=c.logged[:rows],
            lines=c.lines[:rows] if c.lines is not None else None,
            epoch_mean=c.epoch_mean[:rows] if c.epoch_mean is not None else None,
        )
    # events without a step stand at the end of the log
    events = tuple(e for e in run.events if e.step is not None and e.step <= last)
    epochs = run.epochs[:rows] if run.epochs is not None else None
    return replace(run, steps=run.steps[:rows].copy(), columns=columns, epochs=epochs, events=events)


SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@cache
def over_time(name: str) -> tuple[Diagnosis, ...]:
    run = read(name)
    return tuple(diagnose(cut(run, max(1, round(share * len(run)))) if share < 1 else run) for share in SHARES)


@pytest.mark.parametrize("name", [n for n, t in TRUTHS.items() if t["label"] == "healthy"])
def test_a_healthy_log_is_never_stopped_or_acted_on_while_it_grows(name: str) -> None:
    for share, diagnosis in zip(SHARES, over_time(name), strict=True):
        critical = [f"{f.code} {f.message}" for f in diagnosis.findings if f.severity == "critical"]
        assert diagnosis.status not in ("act", "stop"), (share, critical)


@pytest.mark.parametrize("name", [n for n, t in TRUTHS.items() if t["label"] == "faulty"])
def test_an_alarm_once_given_is_not_withdrawn_as_the_log_grows(name: str) -> None:
    alarms = [d.status in ("act", "stop") for d in over_time(name)]
    assert alarms[-1]
    assert alarms == sorted(alarms), list(zip(SHARES, [d.status for d in over_time(name)], strict=True))


@pytest.mark.parametrize("name", [n for n, t in TRUTHS.items() if t["label"] == "faulty" and t["fault_onset_step"]])
def test_no_alarm_before_the_fault(name: str) -> None:
    for diagnosis in over_time(name):
        # the value that stops a trainer is never printed: its message is the fault
        stopped = any(e.kind == "non_finite_stop" for e in diagnosis.run.events)
        if diagnosis.run.steps[-1] < TRUTHS[name]["fault_onset_step"] and not stopped:
            assert diagnosis.status not in ("act", "stop"), [f.message for f in diagnosis.findings]


@pytest.mark.parametrize("name", list(TRUTHS))
def test_parts_fit_together_at_every_length(name: str) -> None:
    for diagnosis in over_time(name):
        consistent(diagnosis)


# --- size ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["none", "jump", "nan"])
def test_a_million_rows_have_the_status_of_the_run_thinned_a_thousand_times(fault: str) -> None:
    rows = 1_000_000
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, rows)
    rec = (0.0016 + 0.25 * np.exp(-8 * t)) * np.exp(rng.normal(0, 0.08, rows))
    if fault == "jump":
        rec = rec * np.where(t > 0.7, 6.0, 1.0)
    if fault == "nan":
        rec[t > 0.7] = np.nan
    perceptual = (0.05 + 0.4 * np.exp(-8 * t)) * np.exp(rng.normal(0, 0.05, rows))
    kl = (4000 + 20_000 * t) * np.exp(rng.normal(0, 0.03, rows))
    columns = {"rec_loss": rec, "perceptual_loss": perceptual, "nll_loss": 10 * rec + perceptual, "kl_loss": kl,
               "lr": np.full(rows, 1e-4)}  # fmt: skip

    def at(every: int) -> Diagnosis:
        out = draft({n: v[::every] for n, v in columns.items()}, every, trainer="pyramid_flow")
        out.logged = {n: np.ones(len(out.steps), bool) for n in out.columns}
        return diagnose(out.run())

    full, thinned = at(1), at(1000)
    assert full.status == thinned.status == {"none": "healthy", "jump": "stop", "nan": "stop"}[fault]
    consistent(full)


def test_the_status_does_not_depend_on_the_order_of_columns_or_on_a_second_call() -> None:
    run = resumed("ldm", 0)
    first = diagnose(run.run())
    run.columns = dict(reversed(run.columns.items()))
    second = diagnose(run.run())
    assert first.status == second.status
    assert [f.message for f in first.findings] == [f.message for f in second.findings]
