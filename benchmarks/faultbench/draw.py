"""Draw a run from its seed: everything that it is, before anything is trained.

A run's seed is 100 x group + number.  The runs of a group share system, network, batch size, length and data, and are
trained side by side: five bases with other settings, and of each a healthy twin, four faults and a look-alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from faults_adversarial import FAULTS as ADVERSARIAL
from faults_data import FAULTS as DATA
from faults_latent import FAULTS as LATENT
from faults_optimisation import FAULTS as OPTIMISATION
from lookalikes import LOOKALIKES
from mechanism import SETTING, Mechanism
from plan import Plan, planned
from systems import SYSTEMS, System, configuration

FAULTS: dict[str, Mechanism] = {m.id: m for m in (*DATA, *LATENT, *ADVERSARIAL, *OPTIMISATION)}
HEALTHY: dict[str, Mechanism] = {m.id: m for m in LOOKALIKES}
BASES, FAULTS_EACH = 5, 4
SLOTS = BASES * (2 + FAULTS_EACH)
SHORTEST, LONGEST = 300, 3000
INTERVALS = (1, 2, 5, 10, 20, 50)
ROWS = (40, 600)
"""Fewest and most rows of a log."""
SECOND_FAULT, VISIBLE, ENDS = 0.12, 0.5, 0.3
"""Chances: of a second fault, of a setting that the log's header shows, of a fault that may end to end."""


@dataclass(frozen=True)
class Fault:
    """A planted mechanism. severity: in [0, 1]. Acts on steps onset ... end - 1."""

    mechanism: str
    severity: float
    onset: int
    end: int


@dataclass(frozen=True)
class Drawn:
    """One run. twin: seed of the healthy run with the same settings; its own for the twin itself."""

    seed: int
    twin: int
    system: str
    dialect: str
    width: int
    latent: int
    steps: int
    epoch: int
    interval: int
    settings: tuple[tuple[str, Any], ...]
    """Dotted settings as the log's header states them."""
    faults: tuple[Fault, ...] = ()
    lookalike: str = ""
    strength: float = 0.0
    """Severity of the look-alike."""
    pretrained: bool = False

    @property
    def rows(self) -> int:
        return self.steps // self.interval


@dataclass(frozen=True)
class Group:
    seed: int
    system: System
    width: int
    runs: tuple[Drawn, ...]
    plans: tuple[Plan, ...]
    pretrained: bool


def draw(seed: int) -> Drawn:
    """The run of a seed. Raises ValueError where a group has no such run."""
    group, number = divmod(seed, 100)
    runs = draw_group(group).runs
    if number >= len(runs):
        raise ValueError(
            f"there is no run {seed}: a group has the runs 0 to {len(runs) - 1}, so the last one is {100 * group + len(runs) - 1}"
        )
    return runs[number]


@lru_cache(maxsize=4)
def draw_group(seed: int) -> Group:
    rng = np.random.default_rng([20261130, seed])
    system = SYSTEMS[str(rng.choice(list(SYSTEMS), p=[0.16, 0.2, 0.22, 0.22, 0.2]))]
    # short runs are drawn more often (density 1/steps^3): long ones cost the time of many
    low, high = SHORTEST**-2.0, LONGEST**-2.0
    steps = int(round((low + rng.random() * (high - low)) ** -0.5, -1))
    shape = {
        "width": int(rng.choice([4, 6, 8])), "latent": int(rng.choice([2, 3, 4, 8])), "steps": steps,
        "epoch": int(rng.choice([40, 60, 100, 150])), "batch": int(rng.choice([1, 2, 3], p=[0.2, 0.6, 0.2])),
    }  # fmt: skip
    pretrained = bool(rng.random() < 0.2)
    betas = (
        (0.5, 0.9)
        if system.settings.get("optim.betas") and rng.random() < 0.6
        else [(0.9, 0.95), (0.9, 0.999), (0.5, 0.9)][rng.integers(3)]
    )
    common = {
        "run.steps": steps, "run.batch_size": shape["batch"], "model.config": {"latent_channels": shape["latent"]},
        "optim.betas": betas, "loss.disc_loss": str(rng.choice(["hinge", "hinge", "vanilla"])) if system.name in ("video", "rgb", "vq") else "hinge",
    }  # fmt: skip
    runs: list[Drawn] = []
    plans: list[Plan] = []
    for base in range(BASES):
        _base(rng, seed, base, system, shape, pretrained, common, runs, plans)
    return Group(seed, system, shape["width"], tuple(runs), tuple(plans), pretrained)


def _base(
    rng: np.random.Generator, group: int, base: int, system: System, shape: Mapping[str, int], pretrained: bool,
    common: Mapping[str, Any], runs: list[Drawn], plans: list[Plan],
) -> None:  # fmt: skip
    steps, epoch = shape["steps"], shape["epoch"]
    fit = [
        m
        for m in FAULTS.values()
        if system.name in m.systems
        and m.pretrained <= pretrained
        and (not m.dialects or set(m.dialects) & set(system.dialects))
    ]
    chosen = [fit[i] for i in rng.choice(len(fit), FAULTS_EACH, replace=False)]
    start = int(steps * rng.uniform(0.15, 0.6))
    settings: dict[str, Any] = dict(common) | {
        "optim.lr": system.settings["optim.lr"] * 2 ** rng.uniform(-1.2, 1.0),
        "optim.disc_lr": system.settings["optim.disc_lr"] * 2 ** rng.uniform(-1.5, 1.0),
        "optim.schedule": str(rng.choice(["constant", "cosine", "linear"], p=[0.45, 0.4, 0.15])),
        "optim.warmup_steps": int(rng.choice([0, 10, 20, 50])),
        "loss.disc_weight": system.settings["loss.disc_weight"] * 2 ** rng.uniform(-2, 0.7),
        "loss.perceptual_weight": system.settings.get("loss.perceptual_weight", 1.0) * 2 ** rng.uniform(-1, 1),
        "loss.disc_start": start,
    }  # fmt: skip
    settings["optim.min_lr"] = settings["optim.lr"] * float(rng.choice([0.0, 0.01, 0.1]))
    if system.codes == 0:
        settings["loss.kl_weight"] = system.settings["loss.kl_weight"] * 10 ** rng.uniform(-1, 0.7)
    # what a fault needs of its run belongs to the twin too: all faults of a base share it
    for mechanism in chosen:
        _change(settings, mechanism.base, system)
    twin = 100 * group + len(runs)
    init = int(rng.integers(1 << 30))
    extra = [None, *chosen, _lookalike(rng, system, pretrained)]
    for mechanism in extra:
        seed = 100 * group + len(runs)
        allowed = [d for d in system.dialects if mechanism is None or not mechanism.dialects or d in mechanism.dialects]
        dialect = str(rng.choice(allowed))
        intervals = [i for i in INTERVALS if ROWS[0] <= steps // i <= ROWS[1]]
        interval = int(rng.choice(intervals))
        severity = float(rng.random())
        own = dict(settings) | {"run.seed": group, "run.log_every": interval, "run.validate_every": epoch}
        faults: tuple[Fault, ...] = ()
        lookalike = mechanism.id if mechanism is not None and not mechanism.causes else ""
        header, real = dict(own), dict(own)
        if mechanism is not None:
            first, last = _when(rng, mechanism, steps, epoch, start)
            visible = rng.random() < VISIBLE
            if mechanism.settings is not None:
                changes = mechanism.settings(severity, steps)
                _change(real, changes, system)
                if not mechanism.hidden_settings:
                    header = dict(real)
            if mechanism.causes:
                faults = (Fault(mechanism.id, severity, first, last),)
        config = configuration(system, group, real)
        plan = planned(config, init)
        plan.config = configuration(system, group, header)
        plan.pretrained = pretrained
        plan.guarded = dialect in ("vaelab", "tensorboard") and system.name != "radio"
        plan.stops_at_nan = dialect == "pyramid_flow"
        if mechanism is not None:
            mechanism.plant(plan, severity, first, last)
            if mechanism.id == "resumes-often":
                plan.events = [
                    ("resume", step, {"world": 1, "device": "cpu"}) for step in range(steps // 5, steps, steps // 5)
                ]
            if visible and mechanism.when == "start" and mechanism.causes:
                plan.config = configuration(system, group, header | _shown(mechanism, header, severity, system))
        if faults and rng.random() < SECOND_FAULT:
            faults += _second(rng, fit, mechanism, plan, faults[0], steps, epoch, start, dialect)
        runs.append(
            Drawn(
                seed, twin, system.name, dialect, shape["width"], shape["latent"], steps, epoch, interval,
                tuple(sorted(header.items(), key=lambda item: item[0])), faults, lookalike,
                severity if lookalike else 0.0, pretrained,
            )
        )  # fmt: skip
        plans.append(plan)


def _second(
    rng: np.random.Generator, fit: list[Mechanism], first: Mechanism, plan: Plan, fault: Fault, steps: int, epoch: int,
    start: int, dialect: str,
) -> tuple[Fault, ...]:  # fmt: skip
    """Another fault after the first: of another family, with no settings of its own."""
    able = [
        m for m in fit
        if m.settings is None and not m.base and m.when != "start" and not m.pretrained and m.causes[0][0] != first.causes[0][0]
        and (not m.dialects or dialect in m.dialects) and not (m.order and plan.order)
    ]  # fmt: skip
    if not able:
        return ()
    mechanism = able[rng.integers(len(able))]
    onset, end = _when(rng, mechanism, steps, epoch, start)
    if onset <= fault.onset + steps // 10:
        return ()
    severity = float(rng.random())
    mechanism.plant(plan, severity, onset, end)
    return (Fault(mechanism.id, severity, onset, end),)


def _when(rng: np.random.Generator, m: Mechanism, steps: int, epoch: int, start: int) -> tuple[int, int]:
    """First step and the step after the last."""
    anywhere = int(steps * rng.uniform(0.05, 0.9))
    onset = {
        "start": 0, "any": anywhere, "epoch": max(epoch, anywhere // epoch * epoch), "gan": start,
        "after-gan": int(start + (steps - start) * rng.uniform(0.1, 0.8)),
    }[m.when]  # fmt: skip
    if onset >= steps - 10:
        onset = anywhere
    ends = m.ends and rng.random() < ENDS
    length = int((steps - onset) * rng.uniform(0.05, 0.5))
    return onset, min(steps, onset + max(5, length)) if ends else steps


def _lookalike(rng: np.random.Generator, system: System, pretrained: bool) -> Mechanism:
    fit = [
        m
        for m in HEALTHY.values()
        if system.name in m.systems
        and m.pretrained <= pretrained
        and (not m.dialects or set(m.dialects) & set(system.dialects))
    ]
    return fit[rng.integers(len(fit))]


def _change(settings: dict[str, Any], changes: Mapping[str, Any], system: System) -> None:
    for name, value in changes.items():
        if isinstance(value, tuple) and value and value[0] == "times":
            before = settings.get(name, system.settings.get(name))
            value = type(before)(before * value[1])
        settings[name] = value


def _shown(mechanism: Mechanism, header: Mapping[str, Any], severity: float, system: System) -> dict[str, Any]:
    """Settings that a fault from the beginning would be read from."""
    shown: dict[str, Any] = {}
    for turn in mechanism.turns:
        name = SETTING.get(turn.dial)
        before = (
            header.get(name, system.settings.get(name, {"loss.pixelloss_weight": 1.0}.get(name or "")))
            if name
            else None
        )
        if name and turn.how == "times" and before is not None:
            shown[name] = before * turn.size(severity)
        elif name and turn.how == "set" and turn.size(severity) >= 0:
            shown[name] = turn.size(severity)
    if shown.get("optim.lr", 1.0) <= 0:
        del shown["optim.lr"]
    return shown
