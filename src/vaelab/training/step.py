"""One training step: a single forward pass of the autoencoder, one backward pass of each network.

The losses are differentiated with respect to the reconstruction only (``grad_nll``, ``grad_g``), so the perceptual network
and the discriminator are back-propagated once each. The adaptive weight needs those two gradients at the decoder's last
layer, a matter of one convolution, and the autoencoder is then back-propagated once from
``grad_nll + d_weight * disc_factor * grad_g``. It is the same weight and the same gradient as in the textbook step, which
goes back through the loss networks once for the weight and again for the update.

In the generator pass the discriminator is called outside its DDP wrapper and frozen; in its own pass it sees the detached
reconstruction. Each DDP wrapper so has one forward and one backward a step, which is what its gradient reduction needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vaelab.config import LossConfig, OptimConfig
from vaelab.errors import TrainError
from vaelab.losses import LeCam, Objective, d_weight_ratio, disc_loss, gen_loss, kl_per_element, latent_stats
from vaelab.losses.alignment import Alignment
from vaelab.losses.objective import nll_elements
from vaelab.losses.regularisers import Term, equivariance_term, local_correlation_term
from vaelab.models import Autoencoder, Reconstruction
from vaelab.models.augment import Draw, augmented, draw
from vaelab.models.moves import Move, draw_move, moved
from vaelab.training.distributed import Ranks, checksum
from vaelab.training.ema import EMA
from vaelab.training.schedule import disc_learning_rate, learning_rate
from vaelab.training.update import Applied, Updater

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}
Measured = dict[str, torch.Tensor]


class TrainingStep:
    """Both networks with their optimizers, and what one update does to them.

    ``state_dict`` holds all that the next update depends on, but the random generators and the position in the data.
    find_unused: some batches leave weights of the autoencoder without a gradient; DistributedDataParallel must know.
    freeze_from: step from which the encoder is not trained any more; None: it always is.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        discriminator: nn.Module | None,
        objective: Objective,
        loss: LossConfig,
        optim: OptimConfig,
        steps: int,
        ranks: Ranks,
        sample: bool = True,
        find_unused: bool = False,
        freeze_from: int | None = None,
        alignment: Alignment | None = None,
    ) -> None:
        self.loss, self.optim, self.steps, self.ranks, self.sample = loss, optim, steps, ranks, sample
        self.autoencoder, self.discriminator, self.objective = autoencoder, discriminator, objective
        fp16 = optim.precision == "fp16"
        self.logvar = [p for p in objective.parameters() if p.requires_grad]
        self.alignment = alignment
        # outside the autoencoder, and so outside its DistributedDataParallel
        self._beside = [*self.logvar, *(alignment.parameters() if alignment is not None else ())]
        self.generator_update = Updater(
            [*autoencoder.parameters(), *self._beside],
            betas=optim.betas,
            weight_decay=optim.weight_decay,
            clip=optim.clip_grad,
            fp16=fp16,
            device=ranks.device,
        )
        self.disc_update = None
        self.lecam = None
        if discriminator is not None:
            self.disc_update = Updater(
                discriminator.parameters(),
                betas=optim.disc_betas,
                weight_decay=0.0,
                clip=optim.disc_clip_grad,
                fp16=fp16,
                device=ranks.device,
            )
            if loss.lecam_weight > 0:
                self.lecam = LeCam(loss.lecam_decay, from_zero=loss.lecam_init == "zero").to(ranks.device)
        # before any wrapping: the average must not hold parts of a compiled module
        width = optim.ema_sigma_rel if optim.ema_profile == "power" else None
        self.ema = EMA(autoencoder, optim.ema_decay, width) if optim.ema_decay is not None else None
        self.ratio_mean: torch.Tensor | None = None
        self.freeze_from, self._find_unused = freeze_from, find_unused
        self._frozen: nn.ParameterList | None = None
        self._frozen_sum: torch.Tensor | None = None
        self._forward = self._wrapped(autoencoder, find_unused)
        self._disc_forward = None if discriminator is None else self._wrapped(discriminator)

    def __call__(self, micro_batches: Sequence[torch.Tensor], step: int) -> Measured:
        """One update of both networks.

        micro_batches: ``accumulate`` tensors (B, C, T, H, W), float32 in [-1, 1], on the device. step: 0 for the first
        update. Returns 0-d float32 tensors on the device, means over the micro-batches of this process.
        """
        if self.freeze_from is not None and step >= self.freeze_from and self._frozen is None:
            self._freeze_encoder()
        trains_disc = self.discriminator is not None and self.objective.trains_disc(step)
        share = 1 / len(micro_batches)
        parts: list[Measured] = []
        for number, x in enumerate(micro_batches, 1):
            last = number == len(micro_batches)
            with self._sync(self._forward, last):
                measured, reconstruction = self._generator_pass(x, step, share)
            if trains_disc:
                with self._sync(self._disc_forward, last):
                    measured |= self._discriminator_pass(x, reconstruction, share)
            parts.append(measured)
        measured = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        return measured | self._apply(step, trains_disc)

    def _freeze_encoder(self) -> None:
        """AdamW leaves weights without a gradient alone; the average takes them over, and DistributedDataParallel, which would
        wait for their gradients, is built anew without them."""
        self._frozen = nn.ParameterList(self.autoencoder.freeze_encoder())
        self._frozen_sum = checksum(self._frozen)
        if self.ema is not None:
            self.ema.take_over(self.autoencoder)
        self._forward = self._wrapped(self.autoencoder, self._find_unused)

    def check_frozen(self) -> None:
        """Raise TrainError if a weight that is frozen has changed."""
        if self._frozen is None or self._frozen_sum is None:
            return
        if not torch.equal(checksum(self._frozen), self._frozen_sum):
            raise TrainError(
                "The frozen encoder has changed, so its latents have too: this is a fault of vaelab, please report it"
            )

    def _generator_pass(self, x: torch.Tensor, step: int, share: float) -> tuple[Measured, torch.Tensor]:
        move = self._move(x)
        with self._autocast():
            # without a move, the call that a model of another kind takes too
            out = self._forward(x, sample=self.sample, **({} if move is None else {"move": move}))
        reconstruction = out.x.detach().float().requires_grad_()
        with self._autocast():
            terms = self.objective.reconstruction(x, reconstruction)
        gradient, *logvar_gradient = self._gradients(terms.nll, [reconstruction, *self.logvar])
        for parameter, value in zip(self.logvar, logvar_gradient, strict=True):
            value = self.generator_update.scale(value * share)
            parameter.grad = value if parameter.grad is None else parameter.grad + value

        measured = {"rec_loss": terms.rec, "rec_mse": terms.rec_mse, "nll_loss": terms.nll}
        if self.logvar:  # the value that nll_loss was computed with, not the one after the update
            measured["logvar"] = self.logvar[0].detach().clone()
        if self.loss.perceptual_weight > 0:
            measured["perceptual_loss"] = terms.perceptual
        total = terms.nll
        factor = self.objective.disc_factor(step)
        if self.discriminator is not None and factor > 0:
            adversarial, weighted, of_gan = self._adversarial_gradient(out.x, reconstruction, gradient, factor)
            gradient = gradient + weighted
            total = total + adversarial
            measured |= of_gan

        outputs, gradients = [out.x], [self.generator_update.scale(gradient * share).to(out.x.dtype)]
        if out.mean is not None and out.logvar is not None:
            kl = self.objective.kl(out.mean, out.logvar)
            kl_weight = self.objective.kl_weight(step)
            total = total + kl_weight * kl
            measured |= {"kl_loss": kl, "kl_nats_per_element": kl_per_element(out.mean, out.logvar)}
            measured |= latent_stats(out.z, out.mean, out.logvar)
            if kl_weight > 0 and kl.requires_grad:
                outputs.append(kl)
                gradients.append(self.generator_update.scale(kl.new_full((), kl_weight * share)))
        for name, term in self._regularisers(x, out, move, measured):
            total = total + term.weight * term.value
            weight = term.value.new_full((), term.weight)
            measured |= {f"{name}_loss": term.value, f"{name}_weight": weight}
            if term.value.requires_grad:
                outputs.append(term.value)
                gradients.append(self.generator_update.scale(weight * share))
        measured["total_loss"] = total
        torch.autograd.backward(outputs, gradients)
        return {name: value.detach().float() for name, value in measured.items()}, reconstruction.detach()

    def _move(self, x: torch.Tensor) -> Move | None:
        """Drawn only where it is asked for: the noise of other runs stays as it is."""
        if self.loss.equivariance_weight == 0:
            return None
        return draw_move(self.loss.equivariance, *self.autoencoder.latent_shape(*x.shape[2:])[2:])

    def _regularisers(
        self, x: torch.Tensor, out: Reconstruction, move: Move | None, measured: Measured
    ) -> Iterator[tuple[str, Term]]:
        centre = out.z if out.mean is None else out.mean
        if self.loss.lcr_weight > 0 and centre.requires_grad:
            term, measured["local_correlation"] = local_correlation_term(self.loss, centre)
            yield "lcr", term
        if self.alignment is not None and centre.requires_grad:
            with self._autocast():
                yield "alignment", Term(self.alignment(centre, x), self.loss.alignment_weight)
        if move is not None and out.moved is not None:
            height, width = out.moved.shape[-2:] if move.turns % 2 == 0 else out.moved.shape[:-3:-1]
            elements = nll_elements(x.shape, self.loss.nll_reduction)
            yield (
                "equivariance",
                equivariance_term(self.loss, moved(x, height, width, move.turns), out.moved.float(), elements),
            )

    def _adversarial_gradient(
        self, out: torch.Tensor, reconstruction: torch.Tensor, grad_nll: torch.Tensor, factor: float
    ) -> tuple[torch.Tensor, torch.Tensor, Measured]:
        """``(weighted g_loss, its gradient at the reconstruction, what to log)``."""
        assert self.discriminator is not None
        with frozen(self.discriminator), self._autocast():
            seen = augmented(reconstruction, self._augmentation(reconstruction))
            g_loss = gen_loss(self.loss.disc_loss, self.discriminator(seen).float())
            (grad_g,) = self._gradients(g_loss, [reconstruction])
        measured = {"g_loss": g_loss}
        weight = torch.full((), self.loss.disc_weight, device=out.device)
        if self.loss.disc_weight_mode == "adaptive":
            last = self.autoencoder.last_layer
            at_last = torch.stack(
                [
                    torch.autograd.grad(out, last, g.to(out.dtype), retain_graph=True)[0].float()
                    for g in (grad_nll, grad_g)
                ]
            )
            # The mean over ranks first: the norm of one rank's gradient is not that of the whole batch.
            of_nll, of_g = self.ranks.mean(at_last)
            ratio, clamped = d_weight_ratio(of_nll, of_g, self.loss.d_weight_max)
            weight = weight * self._smoothed(ratio)
            measured |= {"d_weight_clamped": clamped.float()}
        weighted = (weight * factor * g_loss).detach()
        measured |= {"d_weight": weight, "g_loss_weighted": weighted}
        return weighted, weight * factor * grad_g, measured

    def _gradients(self, loss: torch.Tensor, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Gradients of ``loss`` in float32. In fp16 they pass through the loss networks scaled, or they would underflow."""
        scale = self.generator_update.scale(torch.ones((), device=loss.device))
        return [gradient / scale for gradient in torch.autograd.grad(loss * scale, inputs)]

    def _smoothed(self, ratio: torch.Tensor) -> torch.Tensor:
        """Running mean of the adaptive ratio; a non-finite one is left out of it."""
        decay = self.loss.d_weight_ema
        if decay == 0:
            return ratio
        before = (
            ratio if self.ratio_mean is None else torch.where(torch.isfinite(self.ratio_mean), self.ratio_mean, ratio)
        )
        mean = torch.where(torch.isfinite(ratio), torch.lerp(ratio, before, decay), before)
        self.ratio_mean = mean.detach()
        return mean

    def _discriminator_pass(self, x: torch.Tensor, reconstruction: torch.Tensor, share: float) -> Measured:
        assert self._disc_forward is not None and self.disc_update is not None
        drawn = self._augmentation(x)
        x, reconstruction = augmented(x, drawn), augmented(reconstruction, drawn)
        # One call for both: its norms act on single samples, so real and fake do not meet.
        with self._autocast():
            logits = self._disc_forward(torch.cat([x, reconstruction])).float()
        real, fake = logits.chunk(2)
        loss = disc_loss(self.loss.disc_loss, real, fake) * self.loss.disc_factor
        means = self.ranks.mean(torch.stack([real.mean(), fake.mean()]).detach())
        measured = {"disc_loss": loss, "logits_real": real.mean(), "logits_fake": fake.mean()}
        if self.lecam is not None:
            self.lecam.update(means[0], means[1])
            penalty = self.lecam.penalty(real, fake)
            loss = loss + self.loss.disc_factor * self.loss.lecam_weight * penalty
            measured["lecam_loss"] = penalty
        self.disc_update.scale(loss * share).backward()
        return {name: value.detach().float() for name, value in measured.items()}

    def _augmentation(self, x: torch.Tensor) -> Draw:
        return draw(self.loss.disc_augment, len(x), x.device)

    def _apply(self, step: int, trains_disc: bool) -> Measured:
        if self.ranks.world > 1:
            for parameter in self._beside:
                if parameter.grad is not None:
                    self.ranks.mean(parameter.grad)
        measured = _of_update("", self.generator_update.apply(learning_rate(self.optim, step, self.steps)))
        if self.ema is not None:
            self.ema.update(self.autoencoder)
        if self.generator_update.scaler.is_enabled():
            measured["loss_scale"] = self.generator_update.scale(torch.ones((), device=self.ranks.device))
        if trains_disc and self.disc_update is not None:
            measured |= _of_update("disc_", self.disc_update.apply(self.disc_lr(step)))
        return measured

    def disc_lr(self, step: int) -> float:
        """The discriminator's learning rate at ``step``; its schedule counts from its own first update."""
        return disc_learning_rate(self.optim, step, self.loss.disc_start - self.loss.disc_warmup, self.steps)

    def _wrapped(self, network: nn.Module, find_unused: bool = False) -> nn.Module:
        module = self._compiled(network) if self.optim.compile else network
        if self.ranks.world == 1 or not any(p.requires_grad for p in network.parameters()):
            return module
        ids = [self.ranks.device.index] if self.ranks.device.type == "cuda" else None
        return DistributedDataParallel(
            module, device_ids=ids, gradient_as_bucket_view=True, find_unused_parameters=find_unused
        )

    def _compiled(self, network: nn.Module) -> nn.Module:
        """``torch.compile``, with the decoder's last layer left out: the adaptive weight needs the gradient at that layer
        alone, and a compiled graph only yields all of its gradients at once."""
        if network is self.autoencoder:
            for module in network.modules():
                if getattr(module, "weight", None) is self.autoencoder.last_layer:
                    module.forward = torch.compiler.disable(module.forward)
        return cast(nn.Module, torch.compile(network))

    def _sync(self, network: nn.Module | None, last: bool) -> AbstractContextManager:
        """Gradients are exchanged with the last micro-batch only."""
        if last or not isinstance(network, DistributedDataParallel):
            return nullcontext()
        return network.no_sync()

    def _autocast(self) -> AbstractContextManager:
        dtype = PRECISIONS.get(self.optim.precision)
        return torch.autocast(self.ranks.device.type, dtype) if dtype is not None else nullcontext()

    def configure(self, loss: LossConfig, optim: OptimConfig) -> None:
        """Go on with other weights of the losses, rates or clipping, as a rollback prescribes."""
        self.loss, self.optim = loss, optim
        self.objective.config = loss
        self.generator_update.clip = optim.clip_grad
        if self.disc_update is not None:
            self.disc_update.clip = optim.disc_clip_grad

    def networks(self) -> list[tuple[str, nn.Module]]:
        """Those that are trained, by name."""
        named: list[tuple[str, nn.Module]] = [("autoencoder", self.autoencoder)]
        return named if self.discriminator is None else [*named, ("discriminator", self.discriminator)]

    def state_dict(self) -> dict:
        """Optimizers, loss scalers, running means and counters. The networks' weights are saved beside it."""
        return {
            "generator": self.generator_update.state_dict(),
            "discriminator": None if self.disc_update is None else self.disc_update.state_dict(),
            "objective": self.objective.state_dict(),
            "lecam": None if self.lecam is None else self.lecam.state_dict(),
            "alignment": None if self.alignment is None else self.alignment.state_dict(),
            "ratio_mean": self.ratio_mean,
            "ema_updates": None if self.ema is None else self.ema.updates,
        }

    def load_state_dict(self, state: dict) -> None:
        self.generator_update.load_state_dict(state["generator"])
        if self.disc_update is not None and state["discriminator"] is not None:
            self.disc_update.load_state_dict(state["discriminator"])
        self.objective.load_state_dict(state["objective"])
        if self.lecam is not None and state["lecam"] is not None:
            self.lecam.load_state_dict(state["lecam"])
        if self.alignment is not None:
            self.alignment.load_state_dict(state["alignment"])
        mean = state["ratio_mean"]
        self.ratio_mean = None if mean is None else mean.to(self.ranks.device)
        if self.ema is not None and state["ema_updates"] is not None:
            self.ema.updates = state["ema_updates"]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradient for the weights of ``network`` inside: it only passes gradients on to its input."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def _of_update(prefix: str, applied: Applied) -> Measured:
    limit = {} if applied.limit is None else {f"{prefix}clip_limit": applied.limit}
    return limit | {
        f"{prefix}grad_norm": applied.norm,
        f"{prefix}clip_coefficient": applied.coefficient,
        f"{prefix}clipped": (applied.coefficient < 1).float(),
        f"{prefix}finite": applied.finite,
    }
