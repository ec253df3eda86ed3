"""Loss algebra: which sums the trainer's loss is made of, the hidden constants in them (weights, pixel count), and whether they close.

A trainer's reconstruction term is one of three: nll = pixelloss_weight x rec + perceptual_weight x perceptual; N x rec, N the summed
pixels; or n x ((weights as in the first) / exp(logvar) + logvar), that of ``vaelab train`` (``weights_apart``). Then
total = nll + kl_weight x KL + the GAN term + what else the trainer adds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaelab.analysis import level
from vaelab.facts.identities import (
    Identity,
    Printed,
    Rows,
    Solved,
    best_value,
    check_identity,
    factor,
    fit,
    in_force,
    nice_in,
)
from vaelab.facts.phases import Gan
from vaelab.facts.reconstruction_term import Sums
from vaelab.facts.view import View
from vaelab.run import FloatArray
from vaelab.words import number


@dataclass(frozen=True)
class Algebra:
    """Hidden constants, identities, and each term's share of the loss by value (first and last rows).

    terms: weighted value of every term, float64 (n,), for shares over any stretch of rows.
    """

    solved: Mapping[str, Solved]
    identities: tuple[Identity, ...]
    shares_first: Mapping[str, float]
    shares_now: Mapping[str, float]
    terms: Mapping[str, FloatArray] = field(default_factory=dict)

    def shares(self, rows: slice) -> dict[str, float]:
        """Share of each term in the loss by absolute value (medians over ``rows``); empty if a term is unknown there."""
        return _shares(self.terms, rows)

    def value(self, name: str) -> float | None:
        found = self.solved.get(name)
        return found.value if found and found.status == "closes" else None


def solve(view: View, gan: Gan) -> Algebra:
    """Solve what the columns of ``view`` allow; unknown trainers get the mean form and the summed form tried in turn."""
    solver = _Solver(view, gan)
    solver.reconstruction()
    solver.kl_weight()
    solver.disc_weight()
    solver.lecam_weight()
    solver.total()
    terms = solver.terms()
    finite = [np.isfinite(v) for m, v in terms.items() if m != "GAN"]
    rows = np.flatnonzero(np.all(finite, axis=0)) if finite else np.empty(0, np.int64)
    first: dict[str, float] = {}
    now: dict[str, float] = {}
    if len(rows):
        first = _shares(terms, slice(int(rows[0]), int(rows[0]) + 1))
        now = _shares(terms, slice(int(rows[-max(1, len(rows) // 10)]), int(rows[-1]) + 1))
    return Algebra(solver.solved, tuple(solver.identities), first, now, terms)


def _shares(terms: Mapping[str, FloatArray], rows: slice) -> dict[str, float]:
    sizes = {m: level(np.abs(v[rows][np.isfinite(v[rows])])) for m, v in terms.items()}
    sizes = {m: v for m, v in sizes.items() if math.isfinite(v)}
    total = sum(sizes.values())
    return {m: v / total for m, v in sizes.items()} if total > 0 and "reconstruction" in sizes else {}


class _Solver(Sums):
    """All sums of one run: the reconstruction term, and beside it the KL, the GAN and what else the trainer adds."""

    def kl_weight(self) -> None:
        """kl_weight from what total_loss has beside nll_loss before the GAN starts."""
        view, declared = self.view, self.view.number("kl_weight")
        weighted = self.trainer.kl_reduction == "weighted" or self.trainer.rec_kind == "weighted-nll-sum"
        if weighted or not view.has("kl_loss"):
            return
        why = "; the log lacks the columns to check it with"
        if view.has("nll_loss", "total_loss"):
            why = "; no row without the GAN term to check it with"
            on = Rows(view, ("total_loss", "nll_loss", "kl_loss"))
            before = on.rows < self.start
            with_gan = self.trainer.weights_apart and not before.any() and view.has("g_loss_weighted")
            keep = (before | with_gan) & (on["kl_loss"].value > 0)
            if keep.any():
                return self._kl_weight(on.where(keep), with_gan)
        if declared is not None and "kl_weight" not in self.solved:
            self.solved["kl_weight"] = Solved.as_declared("kl_weight", declared, why)

    def _kl_weight(self, on: Rows, with_gan: bool) -> None:
        total, nll = on["total_loss"] * self.halves, on["nll_loss"]
        kl = on["kl_loss"] * self.view.kl_growth(on.rows)
        others, also = self._row_weighted(on)
        if with_gan:
            others = others + self._gan_term(on)
        part = total - others - nll
        if on.how == "medians":
            part = Printed(part.value, part.error + 0.05 * np.abs(nll.value))
        low, high, inside = factor(part, kl)
        less, row = also.replace(" + ", " - "), int(np.argmax(kl.value))
        declared = self.view.number("kl_weight")
        at = f"step {on.step(row):,}"
        if high <= 0 or inside < 0.9:
            text = f"total_loss{less} - nll_loss is not kl_weight x kl_loss with one weight ({low:.3g} to {high:.3g} over {len(on)} rows)."
            return self.add("kl_weight", declared, (low, high), on, text, "does-not-close")
        if low <= 0:
            known = declared is not None and declared <= high
            said = (
                f"kl_weight {declared:g} gives {declared * kl.value[row]:.2g}"
                if declared is not None
                else f"its weight is below {high:.2g}"
            )
            text = (
                f"total_loss{less} equals nll_loss within print precision ({at}: {number(total.value[row] - others.value[row])} and"
                f" {number(nll.value[row])}) because the KL term is too small to show: {said}. It has no visible effect on the loss."
            )
            return self.add("kl_weight", declared if known else None, (max(low, 0.0), high), on, text, "closes")
        value = best_value(low, high, declared)
        right = nll + kl * value
        text = (
            f"kl_weight is {value:.3g} (interval {low:.3g} to {high:.3g}, {len(on)} rows): total_loss{less} = nll_loss + kl_weight x kl_loss"
            f" closes at {at}: {number(nll.value[row])} + {number(value * kl.value[row])} = {number(right.value[row])}, printed"
            f" {number(total.value[row] - others.value[row])}."
        )
        self.add("kl_weight", value, (low, high), on, text)
        self.check("total-before-gan", f"total_loss = nll_loss + kl_weight x kl_loss{also}", total, right + others, on)

    def disc_weight(self) -> None:
        """disc_weight from the clamp: d_weight at its maximum is disc_weight x 1e4, and stands there again and again."""
        if not self.view.has("d_weight"):
            return
        declared, column, series = (
            self.view.number("disc_weight"),
            self.view.run.columns["d_weight"],
            self.view.series("d_weight"),
        )
        top = float(series.high.max())
        repeats = 0 if self.trainer.fixed_d_weight else int(np.sum(column.values == top))
        low = top / self.trainer.clamp
        # three significant digits (tqdm) repeat by chance: there only a round disc_weight is believed
        coarse = column.decimals is not None and column.decimals <= 0
        believed = not coarse or nice_in(0.999 * low, 1.001 * low) is not None
        if column.smoothing.kind == "none" and top >= 10 and repeats >= 3 and believed:
            text = (
                f"disc_weight is {low:g}: d_weight stops at exactly {top:,.6g} in {repeats} rows, which is its clamp"
                f" disc_weight x {number(self.trainer.clamp)}."
            )
            self.solved["disc_weight"] = Solved("disc_weight", low, low, low, "closes", "clamp", text, declared)
        elif declared is not None:
            self.solved["disc_weight"] = Solved.as_declared("disc_weight", declared, "")

    def lecam_weight(self) -> None:
        """Weight of the LeCam term from disc_loss = disc_factor x (non_saturated_d_loss + lecam_weight x lecam_loss)."""
        names = ("disc_loss", "non_saturated_d_loss", "lecam_loss")
        if not self.active or not self.view.has(*names):
            return
        on = Rows(self.view, names)
        disc, plain, lecam = (on[m] for m in names)
        keep = (on.rows >= self.start) & (lecam.value > lecam.error) & (disc.value != 0)
        if on.how != "exact" or not keep.any():
            return
        low, high, inside = factor((disc - plain)[keep], lecam[keep])
        if low <= 0 <= high:
            return  # too small to show in the digits that are printed
        closes = inside >= 0.9 and low > 0
        value = best_value(low, high)
        text = (
            f"lecam_weight is {value:.3g} ({low:.3g} to {high:.3g}): disc_loss contains it, non_saturated_d_loss is the plain loss."
            if closes
            else "disc_loss is not non_saturated_d_loss + one weight x lecam_loss."
        )
        self.add("lecam_weight", value if closes else None, (low, high), on, text)

    def total(self) -> None:
        """The whole sum once the GAN is on; where the trainer has terms beside nll, KL and GAN, their weights too."""
        view, weighted = self.view, self.view.has("g_loss_weighted")
        gan = ("g_loss_weighted",) if weighted else ("d_weight", "g_loss")
        said = "g_loss_weighted" if weighted else "d_weight x disc_factor x g_loss"
        extra = [m for m in self.trainer.extra_terms if view.has(m)]
        if extra:
            if view.has("total_loss", "nll_loss"):
                has_gan = view.has(*gan)
                on = Rows(view, ("total_loss", "nll_loss", *(gan if has_gan else ()), *extra))
                self._extra(on, extra, f"nll_loss{f' + {said}' if has_gan else ''}", has_gan)
            return
        formula = f"total_loss = nll_loss + {'' if self.trainer.kl_reduction == 'weighted' else 'kl_weight x '}kl_loss + {said}"
        if self.trainer.rec_kind == "weighted-nll-sum":
            text = (
                "cannot tell: rec_loss is the nll, and this trainer does not log kl_loss, d_weight and g_loss beside it; log them"
                " to close the sum."
            )
            formula = formula.replace("nll_loss", "rec_loss")
            self.identities.append(Identity("total-with-gan", formula, "cannot-tell", None, 0, text))
            return
        if not self.active or not view.has("total_loss", *gan):
            return
        for more in (("nll_loss", "kl_loss"), ("nll_loss",), ("kl_loss",), ()):
            if view.has(*more):
                on = Rows(view, ("total_loss", *gan, *more), linear=weighted)
                if np.any(keep := on.rows >= self.start):
                    break
        else:
            return
        on = on.where(keep)
        known = self._gan_term(on)
        if "kl_loss" in more and (weight := self._kl_in_force()) is not None:
            known = known + on["kl_loss"] * (weight * view.kl_growth(on.rows))
        if "nll_loss" not in more:
            if not weighted:
                self._implied_nll(on, formula, on["total_loss"].value * self.halves - known.value)
        elif on.how == "medians" and not weighted:
            text = "cannot tell: d_weight x g_loss is a product, and the log prints medians of 20 steps."
            self.identities.append(Identity("total-with-gan", formula, "cannot-tell", None, len(on), text))
        else:
            others, also = self._row_weighted(on)
            right = on["nll_loss"] + known + others
            self.check("total-with-gan", formula + also, on["total_loss"] * self.halves, right, on)

    def _extra(self, on: Rows, terms: list[str], said: str, has_gan: bool) -> None:
        """Weights of the terms beside nll and GAN; the early rows are left out if a weight is annealed."""
        if on.how != "exact" or len(on) < 4 * len(terms):
            return
        keys = [self.trainer.extra_terms[m] for m in terms]
        formula = f"total_loss = {said}" + "".join(f" + {k} x {m}" for k, m in zip(keys, terms, strict=True))
        name = "total-with-gan" if np.any(on.rows >= self.start) else "total-before-gan"
        for part in (on, on.where(slice(len(on) // 2, None))):
            right = part["nll_loss"] + self._gan_term(part) if has_gan else part["nll_loss"]
            weights = fit(part["total_loss"] - right, [part[m] for m in terms])
            if weights is None:
                return
            for (weight, _), m in zip(weights, terms, strict=True):
                right = right + part[m] * weight
            identity = check_identity(name, formula, part["total_loss"], right, part, self.view)
            if identity.status == "closes":
                break
        self.identities.append(identity)
        if identity.status != "closes":
            return
        for key, (weight, error) in zip(keys, weights or (), strict=True):
            low, high = weight - 5 * error, weight + 5 * error
            nice = nice_in(low, high) if low > 0 else None
            value = weight if nice is None else nice
            text = f"{key} is {value:.3g} (fit over {identity.rows} rows: {low:.4g} to {high:.4g})."
            self.add(key, value, (low, high), on, text)

    def _implied_nll(self, on: Rows, formula: str, implied: FloatArray) -> None:
        """Without an nll column: is the nll that the total asks for possible given rec_loss?"""
        weight, rec = in_force(self.view, self.solved, "pixelloss_weight"), self.view.series("rec_loss")
        if weight is None or not len(rec) or self.trainer.nll_reduction != "mean":
            return
        rows = np.flatnonzero(np.isfinite(on["rec_loss"].value) & np.isfinite(implied))
        if not len(rows):
            return
        i, perceptual = int(rows[-1]), self.view.series("perceptual_loss")
        pixel, nll = weight * float(on["rec_loss"].value[i]), float(implied[i])
        top = float(perceptual.values.max()) if len(perceptual) else 0.1
        open_ = nll > 1.5 * (pixel + top) or nll < 0.5 * pixel
        d_weight, g_loss = float(on["d_weight"].value[i]), float(on["g_loss"].value[i])
        text = (
            f"{'does not close' if open_ else 'cannot tell'} at step {on.step(i):,}: d_weight x g_loss = {d_weight:.4f} x {g_loss:.4f} ="
            f" {self._gan_term(on).value[i]:.3f} would need nll {nll:.3f}, but {weight:g} x rec_loss is {pixel:.3g} and perceptual_loss"
            f" stays below {top:.3g}. The figures are medians, or of different steps."
        )
        status = "does-not-close" if open_ else "cannot-tell"
        self.identities.append(
            Identity("total-with-gan", formula, status, None, 1, text, on.step(i) if open_ else None)
        )

    def _gan_term(self, on: Rows) -> Printed:
        """The generator's adversarial term as it enters the total; 0 before the GAN starts."""
        if self.view.has("g_loss_weighted"):
            return on["g_loss_weighted"]
        return on["d_weight"] * on["g_loss"] * np.where(on.rows >= self.start, self.view.disc_factor(on.rows), 0.0)

    def _row_weighted(self, on: Rows) -> tuple[Printed, str]:
        """Sum of the terms whose weight is logged beside them (``weighted_terms`` of the trainer), and its part of a formula."""
        part, said = Printed(np.zeros(len(on)), np.zeros(len(on))), ""
        for term, weight in self.trainer.weighted_terms.items():
            if self.view.has(term, weight):
                part, said = part + on[term] * on[weight], f"{said} + {weight} x {term}"
        return part, said

    def _kl_in_force(self) -> float | None:
        return 1.0 if self.trainer.kl_reduction == "weighted" else in_force(self.view, self.solved, "kl_weight")

    # --- shares ---

    def terms(self) -> dict[str, FloatArray]:
        """Weighted value of each term of the loss on every row; empty if the reconstruction term is not known.

        With a learned logvar, or where n or a weight is not known, the nll as a whole is the reconstruction term.
        """
        run, apart, terms = self.view.run, self.trainer.weights_apart, {}
        pixel, perceptual = (in_force(self.view, self.solved, f"{m}_weight") for m in ("pixelloss", "perceptual"))
        times: float | None = self.nll_elements if apart else 1.0
        if self.summed:  # nothing but rec_loss is in the sum
            n = 1.0 if self.trainer.rec_kind == "weighted-nll-sum" else in_force(self.view, self.solved, "n_pixels")
            times, pixel, perceptual = None if "nll_loss" in run else n, 1.0, None
        elif not apart:
            perceptual = (1.0 if perceptual is None else perceptual) if "lpips" not in self.trainer.rec_kind else None
            if pixel is None and "nll_loss" not in run:
                pixel = self.trainer.defaults.get("pixelloss_weight")
        if "rec_loss" in run and times is not None and pixel is not None and not (apart and self.learned):
            terms["reconstruction"] = times * pixel * run["rec_loss"]
            if "perceptual_loss" in run and perceptual is not None:
                terms["perceptual"] = times * perceptual * run["perceptual_loss"]
        elif "nll_loss" in run:
            terms["reconstruction"] = run["nll_loss"]
        if "kl_loss" in run and (weight := self._kl_in_force()) is not None:
            terms["KL"] = weight * self.view.kl_growth(slice(None)) * run["kl_loss"]
        for metric, key in self.trainer.extra_terms.items():
            found = self.solved.get(key)
            if metric in run and found is not None and found.value is not None:
                terms[metric] = found.value * run[metric]
        if self.active and "g_loss_weighted" in run:
            terms["GAN"] = run["g_loss_weighted"]
        elif self.active and {"d_weight", "g_loss"} <= set(run):
            terms["GAN"] = run["d_weight"] * self.view.disc_factor(slice(None)) * run["g_loss"]
        return terms if "reconstruction" in terms else {}
