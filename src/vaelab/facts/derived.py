"""Columns that facts read in another form than the log prints them: two halves as their sum, a negated KL as its size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vaelab.catalog import METRICS
from vaelab.catalog.roles import RoleName
from vaelab.facts.standing import SURE, role_of
from vaelab.run import Column, FloatArray, Run

MOST_DECIMALS = 300
STANDS_FOR: dict[str, RoleName] = {
    "rec_loss": "reconstruction", "perceptual_loss": "perceptual", "kl_loss": "kl", "disc_loss": "discriminator",
    "logits_real": "logits_real", "logits_fake": "logits_fake", "lr": "learning_rate", "grad_norm": "gradient_norm",
}  # fmt: skip
"""Metric that rules ask for -> the role that makes a column it, whatever the log calls it."""


def derived(run: Run) -> Run:
    """``run`` with what can be read off its columns at once; the same object where nothing has to be changed."""
    return _with_disc_loss(_with_positive_kl(_with_usable_decimals(under_known_names(run))))


def under_known_names(run: Run) -> Run:
    """``run`` with the metric's name on the one column that is sure to be of its role, where no column has that name.

    The column keeps the log's own name in ``original``. What a trainer's formulas say of the metric does not hold for it (``View``).
    """
    names = {}
    for metric, role in STANDS_FOR.items():
        found = [
            n
            for n, c in run.columns.items()
            if n not in METRICS and _is(c, role) and role_of(c).kind != "discriminator"
        ]
        if metric == "rec_loss":
            # nll_loss has a formula, in which another column would be taken for the reconstruction; what is always 0 is not shown to be one
            found = [n for n in found if "nll_loss" not in run.columns and run[n][run.columns[n].logged].any()]
        if metric not in run.columns and len(found) == 1:
            names[found[0]] = metric
    columns = {names.get(n, n): replace(c, name=names[n]) if n in names else c for n, c in run.columns.items()}
    return replace(run, columns=columns) if names else run


def _is(column: Column, name: RoleName) -> bool:
    role = role_of(column)
    return role.name == name and role.split == "train" and role.standing in SURE and bool(column.logged.any())


def _with_usable_decimals(run: Run) -> Run:
    """No decimals where a print such as 1e999 claims more than a float can hold."""
    odd = {n: replace(c, decimals=None) for n, c in run.columns.items() if abs(c.decimals or 0) > MOST_DECIMALS}
    return replace(run, columns={**run.columns, **odd}) if odd else run


def _with_disc_loss(run: Run) -> Run:
    """``disc_loss`` as the sum of its real and fake half where only these are logged."""
    real, fake = _column(run, "discriminator_real"), _column(run, "discriminator_fake")
    if real is None or fake is None or "disc_loss" in run or _column(run, "discriminator") is not None:
        return run
    role = replace(role_of(real), name="discriminator", reason="the sum of its two halves")
    with np.errstate(all="ignore"):
        total = real.values + fake.values
    name = f"{real.original} + {fake.original}"
    column = Column("disc_loss", name, total, real.logged & fake.logged, real.lines, real.decimals, role=role)
    return replace(run, columns={**run.columns, "disc_loss": column})


def _with_positive_kl(run: Run) -> Run:
    """A KL that is logged with a minus sign, as its size."""
    flipped = {}
    for name, column in run.columns.items():
        role = role_of(column)
        if role.name == "kl" and (role.kind == "negated" or _never_positive(column.values)):
            mean = np.abs(column.epoch_mean) if column.epoch_mean is not None else None
            flipped[name] = replace(column, values=np.abs(column.values), epoch_mean=mean)
    return replace(run, columns={**run.columns, **flipped}) if flipped else run


def _never_positive(values: FloatArray) -> bool:
    """Whether there are values below zero and none above."""
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.max() <= 0 > finite.min())


def _column(run: Run, role: RoleName) -> Column | None:
    """The first training column of ``role`` that is sure enough to judge by."""
    return next((c for c in run.columns.values() if _is(c, role)), None)


def negated(original: Run, run: Run) -> tuple[str, ...]:
    """Names of the columns whose sign ``derived`` changed, as the log has them."""
    return tuple(
        column.original
        for name, column in original.columns.items()
        if (now := run.columns.get(name)) is not None
        and now.original == column.original
        and now.values is not column.values
    )
