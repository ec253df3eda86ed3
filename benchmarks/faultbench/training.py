"""Train several small VAE-GANs side by side, each with its own settings and its own fault.

The losses, the adaptive weight and the order of the updates are those of vaelab's trainer (`tests/test_faultbench.py` holds
them together).  What is special in a run stands in its `Plan`.  Every step is measured without smoothing; what a trainer would
have logged of it is the matter of `dialects`.
"""

from __future__ import annotations

import math

import torch
from adamw import Side
from measures_held_out import measure, rows, validation
from networks import (
    LOGVAR_RANGE,
    RandomFeatures,
    Weights,
    autoencoder_layout,
    decode,
    discriminate,
    discriminator_layout,
    encode,
    quantise,
)
from plan import FAULT_DIALS, Plan, planned_value
from result import Result, Row, result
from systems import System, samples
from torch import Tensor
from torch.nn import functional

from vaelab.losses.latent import ACTIVE_VARIANCE, kl_elements
from vaelab.losses.objective import nll_elements

MEASURES = 12
"""Times that held-out error is measured in a run."""
HALF_MAXIMUM = 65504.0
"""Of fp16."""


class SideBySide:
    """K runs of one system with the same width, batch size, length and data."""

    def __init__(self, system: System, width: int, epoch: int, data_seed: int, plans: list[Plan]) -> None:
        self.system, self.plans, self.epoch = system, plans, epoch
        first = plans[0].config
        self.loss, self.batch, self.steps = first.loss, first.run.batch_size, first.run.steps
        train, held_out = samples(system, data_seed)
        self.train = train.float() / 127.5 - 1
        self.held_out = held_out.float() / 127.5 - 1
        self.count = max(self.batch * 2, min(len(train), epoch * self.batch))
        self.latent = first.model.config["latent_channels"]
        layout = autoencoder_layout(system.inside, self.latent, width, system.codes)
        disc = discriminator_layout(system.inside, width)
        self.perceptual = RandomFeatures(system.channels)
        kind = plans[0].config.optim
        self.generator = Side(layout, torch.stack([layout.initial(p.init) for p in plans]), kind.betas)
        self.discriminator = Side(disc, torch.stack([disc.initial(p.init + 1) for p in plans]), kind.disc_betas)
        self.generator.matrix[:, layout.places["logvar"]] = torch.tensor([[p.config.loss.logvar_init] for p in plans])
        self.ema = self.generator.matrix.clone()
        self.ema_decay = torch.tensor([[p.config.optim.ema_decay or 0.0] for p in plans])
        self.learned = torch.tensor([float(p.config.loss.logvar == "learned") for p in plans])
        self.encoder, self.decoder = layout.mask("encoder"), layout.mask("decoder")
        names = plans[0].dials
        self.dials = {name: torch.stack([p.dials[name] for p in plans], 1) for name in names}
        self.turned = {n for n, v in FAULT_DIALS.items() if bool((self.dials[n] != v).any())}
        self.uses_gan = torch.tensor([p.config.loss.disc != "none" for p in plans])
        self.now = 0
        self.kept: Tensor | None = None

    def dial(self, name: str) -> Tensor:
        """(K,) at the present step."""
        return self.dials[name][self.now]

    def pretrain(self, steps: int) -> None:
        """Steps without a GAN that nobody logs; the optimizer is new afterwards."""
        kept = self.dials
        plain = {n: torch.full_like(v[:1], FAULT_DIALS.get(n, 0.0)) for n, v in kept.items()}
        for name in ("pixel", "perceptual", "kl"):
            plain[name] = torch.stack([planned_value(p.config, name) for p in self.plans])[None]
        plain["clip"] += math.inf
        turned, self.turned = self.turned, set()
        for step in range(steps):
            rate = 2e-3 * (1 - step / steps)
            self.dials, self.now = plain | {"lr": torch.full_like(plain["lr"], rate)}, 0
            self._step(self._shared(step % self.steps))
        self.dials, self.turned = kept, turned
        self.generator.forget()
        self.ema = self.generator.matrix.clone()

    def run(self, validates: bool = True) -> list[Result]:
        measured: list[list[Row]] = []
        validations: list[tuple[int, list[Row]]] = []
        numbers: list[tuple[int, list[Row]]] = []
        at = {round((i + 1) * self.steps / MEASURES) - 1 for i in range(MEASURES)}
        for step in range(self.steps):
            self.now = step
            for k, plan in enumerate(self.plans):
                for when, what in plan.once:
                    if when == step:
                        self._once(what, k)
            measured.append(rows(self._step(self.batches(step))))
            if validates and (step + 1) % self.epoch == 0:
                validations.append((step, validation(self)))
            if step in at:
                numbers.append((step, measure(self)))
        return [
            result(
                self, k, [m[k] for m in measured], [(s, v[k]) for s, v in validations], [(s, n[k]) for s, n in numbers]
            )
            for k in range(len(self.plans))
        ]

    # -- data

    def _shared(self, step: int) -> Tensor:
        """Pixels (B, K, C, H, W) of a step, the same for all runs."""
        x = self.train[self._indices(step)]
        return x[:, None].expand(-1, len(self.plans), -1, -1, -1).contiguous()

    def _indices(self, step: int) -> Tensor:
        """Every epoch has an order of its own."""
        per_epoch = max(1, self.count // self.batch)
        epoch, place = divmod(step, per_epoch)
        seed = 1000 * self.plans[0].config.run.seed + epoch
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(seed))
        return order[place * self.batch : (place + 1) * self.batch]

    def batches(self, step: int) -> Tensor:
        x = self._shared(step)
        for k, plan in enumerate(self.plans):
            if plan.order is not None:
                x[:, k] = self.train[plan.order(step, self._indices(step))]
            for change in plan.data:
                x[:, k] = change(x[:, k], step)
        return x

    def _once(self, what: str, k: int) -> None:
        if what == "forget-optimizer":
            self.generator.forget(k)
        elif what == "decay-moments":
            self.generator.second[k] *= 1e-7
        elif what == "forget-discriminator":
            fresh = self.discriminator.layout.initial(self.plans[k].init + 999 + self.now)
            self.discriminator.matrix[k] = fresh
            self.discriminator.forget(k)
        else:
            raise ValueError(f"there is no event {what!r}")

    # -- one step

    def _step(self, x: Tensor) -> dict[str, Tensor]:
        """One update of both networks; measured numbers (K,)."""
        b, runs = x.shape[:2]
        dial, turned = self.dial, self.turned
        theta = self.generator.matrix.detach().requires_grad_()
        w = Weights(self.generator.layout, theta)
        out, parts = self.reconstruct(w, x.flatten(1, 2), sample=True)
        flat = out.detach()
        r = flat.view(x.shape).requires_grad_()
        difference = x - r
        kind = self.loss.pixel_loss
        mse = difference.square().mean((0, 2, 3, 4))
        rec = mse if kind == "mse" else difference.abs().mean((0, 2, 3, 4)) + (mse if kind == "l1+mse" else 0)
        dropout = dial("perceptual_dropout") if "perceptual_dropout" in turned else None
        frame = self.now % self.system.frames * self.system.channels  # one frame of a clip, as trainers of video do
        picture = slice(frame, frame + self.system.channels)
        perceptual = self.perceptual(x[:, :, picture], r[:, :, picture], dropout, self._noise())
        felt = perceptual
        if "perceptual_gradient" in turned:
            share = dial("perceptual_gradient")
            felt = perceptual * share + perceptual.detach() * (1 - share)
        loss = dial("pixel") * rec + dial("perceptual") * felt
        logvar = w.part["logvar"][:, 0]
        scaled = torch.where(self.learned > 0, loss / logvar.exp() + logvar, loss)
        shape = (b, self.system.channels, self.system.frames, *x.shape[3:])
        nll = nll_elements(shape, self.loss.nll_reduction) * scaled
        (grad,) = torch.autograd.grad(nll.sum(), r, retain_graph=True)
        row = {"rec_loss": rec, "rec_mse": mse, "nll_loss": nll, "perceptual_loss": perceptual, "logvar": logvar}
        total = nll
        phi = self.discriminator.matrix.detach().requires_grad_()
        d = Weights(self.discriminator.layout, phi)
        factor = dial("factor")
        gan_on = bool((factor > 0).any() or (dial("trains") > 0).any())
        if gan_on or (self.system.measures_before_start and bool(self.uses_gan.any())):
            fake = self._logits(d, r, fake=True)
            g_loss = (
                -fake.mean((0, 2, 3))
                if self.loss.disc_loss != "non-saturating"
                else functional.softplus(-fake).mean((0, 2, 3))
            )
            if "gan_gradient" in turned:
                sign = dial("gan_gradient")
                seen = g_loss * sign + (g_loss * (1 - sign)).detach()
            else:
                seen = g_loss
            (grad_g,) = torch.autograd.grad(seen.sum(), r)
            weight = self._weight(w, out, grad, grad_g)
            weighted = (weight * factor * g_loss).detach()
            grad = grad + torch.where(factor > 0, weight * factor, 0.0)[:, None, None, None] * torch.where(
                (factor > 0)[:, None, None, None], grad_g, 0.0
            )
            total = total + torch.where(factor > 0, weighted, 0.0)
            row |= {"g_loss": g_loss, "d_weight": weight, "g_loss_weighted": weighted}
        outputs, gradients = [out, nll], [grad.view_as(out), self.learned]
        if "kl" in parts:
            total = total + dial("kl") * parts["kl"]
            outputs.append(parts["kl"])
            gradients.append(dial("kl"))
            row |= {"kl_loss": parts["kl"], "kl_nats_per_element": parts["per_element"]}
        if "quant" in parts:
            total = total + parts["quant"]
            outputs.append(parts["quant"])
            gradients.append(torch.ones(runs))
            row |= {name: parts[name] for name in ("quant_loss", "commit_loss", "perplexity", "codebook_usage")}
        row["total_loss"] = total
        row |= {name: parts[name] for name in parts if name.startswith("latent")}
        # nll reaches the weights through r only where logvar is learned; the reconstruction's own gradient is `grad`
        torch.autograd.backward(outputs, gradients)
        gradient = theta.grad
        assert gradient is not None
        row |= self._generator_update(gradient)
        if gan_on:
            row |= self._discriminator_update(d, phi, x, flat.view(x.shape))
        elif "g_loss" in row:
            with torch.no_grad():
                row |= {"logits_real": self._logits(d, x).mean((0, 2, 3)), "logits_fake": -row["g_loss"]}
                row["disc_loss"] = torch.zeros(runs)
        return {name: value.detach() for name, value in row.items()}

    def reconstruct(self, w: Weights, x: Tensor, sample: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, K*C, H, W) -> the reconstruction and what the latent costs, (K,) each."""
        runs, turned, dial = w.runs, self.turned, self.dial
        h = encode(w, x)
        b, _, height, width = h.shape
        h = h.view(b, runs, -1, height, width)
        parts: dict[str, Tensor] = {}

        def of(name: str) -> Tensor:
            return dial(name)[:, None, None, None]

        if self.system.codes:
            z, parts = self._quantised(w, h)
            mean = h
        else:
            mean, logvar = h.chunk(2, dim=2)
            if "latent_gain" in turned:
                mean = mean * of("latent_gain")
            if "hot_spot" in turned:
                mean = mean.clone()
                mean[..., 0, 0] = mean[..., 0, 0] + dial("hot_spot")[:, None]
            if "logvar_shift" in turned:
                logvar = logvar + of("logvar_shift")
            clamped = logvar.clamp(*LOGVAR_RANGE)
            logvar = torch.where(of("logvar_clamp") > 0, clamped, logvar) if "logvar_clamp" in turned else clamped
            if "channels_lost" in turned:
                alive = torch.arange(self.latent) >= (dial("channels_lost")[:, None] * self.latent)
                mean, logvar = mean * alive[..., None, None], logvar * alive[..., None, None]
            element = (0.5 * (mean.square() + torch.expm1(logvar) - logvar)).mean((0, 2, 3, 4))
            latent_shape = (b, self.latent, 1, height, width)
            parts = {"kl": element * kl_elements(latent_shape, self.loss.kl_reduction), "per_element": element}
            z = mean
            if sample:
                noise = torch.randn(b, 1, self.latent, height, width, generator=self._noise())
                z = mean + of("sample") * (0.5 * logvar).exp() * noise
            parts["latent_noise_std"] = logvar.exp().mean((0, 2, 3, 4)).sqrt()
        with torch.no_grad():
            centre = mean.detach().transpose(0, 1).flatten(3).permute(0, 2, 1, 3).flatten(2)
            parts |= {
                "latents_std": z.transpose(0, 1).flatten(1).std(1, unbiased=False), "latent_abs_mean": z.abs().mean((0, 2, 3, 4)),
                "latent_mean_std": centre.flatten(1).std(1, unbiased=False),
                "latent_active_share": (centre.var(2, unbiased=False) > ACTIVE_VARIANCE).float().mean(1),
            }  # fmt: skip
        if "latent_gain" in turned:
            z = z / of("latent_gain")
        if "latent_scale" in turned:
            z = z * of("latent_scale")
        if "latent_lost" in turned:
            z = z * (1 - of("latent_lost"))
        out = decode(w, z.flatten(1, 2))
        if "half_gain" in turned:
            gain = dial("half_gain")[:, None, None, None]
            picture = out.view(b, runs, -1, *out.shape[2:])
            over = (picture.abs() * gain > HALF_MAXIMUM).any(0, keepdim=True) & (gain > 0)
            out = torch.where(over, torch.inf, picture).view_as(out)
        return out, parts

    def _quantised(self, w: Weights, h: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Straight-through codes; loss = |sg(z) - e|^2 + 0.25 |z - sg(e)|^2."""
        runs = h.shape[1]
        if "latent_scale" in self.turned:
            h = h * self.dial("latent_scale")[:, None, None, None]
        flat = h.flatten(1, 2)
        if "codes_lost" in self.turned:  # the others are too far away to be chosen
            book = w.part["codebook"].view(runs, self.system.codes, -1)
            lost = torch.arange(self.system.codes)[None, :] < self.dial("codes_lost")[:, None] * self.system.codes
            w.part["codebook"] = torch.where(lost[..., None], 1e3, book).view(runs, -1)
        codes, chosen = quantise(w, flat)
        codes = codes.view_as(h)
        book_loss = (codes - h.detach()).square().mean((0, 2, 3, 4))
        commit = (h - codes.detach()).square().mean((0, 2, 3, 4))
        with torch.no_grad():
            share = (
                torch.zeros(runs, self.system.codes).scatter_add_(1, chosen, torch.ones(chosen.shape)) / chosen.shape[1]
            )
            entropy = -(share * (share + 1e-10).log()).sum(1)
        quant = self.dial("codebook") * book_loss + 0.25 * self.dial("commitment") * commit
        parts = {
            "quant": quant, "quant_loss": quant, "commit_loss": commit, "perplexity": entropy.exp(),
            "codebook_usage": (share > 0).float().mean(1),
        }  # fmt: skip
        return h + (codes - h).detach(), parts

    def _noise(self) -> torch.Generator:
        """The same noise for all runs, and for every repetition of a step."""
        return torch.Generator().manual_seed(7919 * self.plans[0].config.run.seed + self.now)

    def _logits(self, d: Weights, x: Tensor, fake: bool = False) -> Tensor:
        """(B, K, h, w) of pictures (B, K, C, H, W), with what spoils the discriminator's input."""
        turned = self.turned
        if not fake and ("real_gain" in turned or "real_shift" in turned):
            x = x * self.dial("real_gain")[:, None, None, None] + self.dial("real_shift")[:, None, None, None]
        if fake and "fake_gain" in turned:
            x = x * self.dial("fake_gain")[:, None, None, None]
        if "disc_blind" in turned:
            blind = self.dial("disc_blind")[:, None, None, None]
            x = (1 - blind) * x + blind * x.mean((3, 4), keepdim=True)
        if "disc_noise" in turned:
            noise = torch.randn(x.shape[0], 1, *x.shape[2:], generator=self._noise())
            x = x + self.dial("disc_noise")[:, None, None, None] * noise
        logits = discriminate(d, x.flatten(1, 2))
        if "logit_shift" in turned:
            logits = logits + self.dial("logit_shift")[:, None, None]
        return logits

    def _weight(self, w: Weights, out: Tensor, grad: Tensor, grad_g: Tensor) -> Tensor:
        """disc_weight times the ratio of the gradients at the decoder's last layer, or alone where it is fixed."""
        last = w.weight("decoder.out.weight")
        norms = [
            torch.autograd.grad(out, last, g.reshape(out.shape), retain_graph=True)[0].view(w.runs, -1).norm(dim=1)
            for g in (grad, grad_g)
        ]
        ratio = norms[0] / (norms[1] * self.dial("gan_underflow") + 1e-4)
        ratio = torch.where(norms[0].isfinite() & norms[1].isfinite(), ratio.clamp(0.0, 1e4), torch.nan)
        return self.dial("gan") * torch.where(self.dial("adaptive") > 0, ratio, 1.0)

    def _generator_update(self, gradient: Tensor) -> dict[str, Tensor]:
        turned, dial = self.turned, self.dial
        if "encoder_gradient" in turned:
            gradient = gradient * (1 - self.encoder * (1 - dial("encoder_gradient")[:, None]))
        if "decoder_gradient" in turned:
            gradient = gradient * (1 - self.decoder * (1 - dial("decoder_gradient")[:, None]))
        if "gradient" in turned:
            gradient = gradient * dial("gradient")[:, None]
        if "gradient_noise" in turned:
            size = gradient.norm(dim=1, keepdim=True) / math.sqrt(gradient.shape[1])
            gradient = gradient + dial("gradient_noise")[:, None] * size * torch.randn(
                gradient.shape, generator=self._noise()
            )
        if "gradient_kept" in turned:
            kept = 0.0 if self.kept is None else self.kept * dial("gradient_kept")[:, None]
            gradient = self.kept = gradient + kept
        guarded = torch.tensor([p.guarded for p in self.plans])
        row = self.generator.update(
            gradient, dial("lr"), dial("clip"), dial("decay"), guarded, dial("generator_steps") > 0
        )
        self.ema.lerp_(self.generator.matrix, (1 - self.ema_decay) * dial("ema")[:, None])
        return row

    def _discriminator_update(self, d: Weights, phi: Tensor, x: Tensor, r: Tensor) -> dict[str, Tensor]:
        runs = x.shape[1]
        if any(plan.real_order is not None for plan in self.plans):
            x = x.clone()
            for k, plan in enumerate(self.plans):
                if plan.real_order is not None:
                    x[:, k] = self.train[plan.real_order(self.now)]
        real, fake = self._logits(d, x), self._logits(d, r, fake=True)
        if "swap" in self.turned:
            swap = self.dial("swap")[:, None, None]
            real, fake = real * (1 - swap) + fake * swap, fake * (1 - swap) + real * swap
        if self.loss.disc_loss == "hinge":
            loss = 0.5 * (functional.relu(1 - real).mean((0, 2, 3)) + functional.relu(1 + fake).mean((0, 2, 3)))
        else:
            loss = 0.5 * (functional.softplus(-real).mean((0, 2, 3)) + functional.softplus(fake).mean((0, 2, 3)))
        (gradient,) = torch.autograd.grad(loss.sum(), phi)
        if "swap" in self.turned:  # the log names them rightly
            real, fake = real * (1 - swap) + fake * swap, fake * (1 - swap) + real * swap
        row = {"disc_loss": loss, "logits_real": real.mean((0, 2, 3)), "logits_fake": fake.mean((0, 2, 3))}
        trains = (self.dial("trains") > 0) & (self.dial("disc_steps") > 0)
        guarded = torch.tensor([p.guarded for p in self.plans])
        zero = torch.zeros(runs)
        updated = self.discriminator.update(
            gradient, self.dial("disc_lr"), self.dial("disc_clip"), zero + self.dial("disc_decay"), guarded, trains
        )
        return row | {f"disc_{name}": value for name, value in updated.items()}
