"""Settings that are possible and seldom meant: said at the start of a run, never refused."""

from __future__ import annotations

from vaelab.config.schema import TrainConfig


def doubts(config: TrainConfig, items: int | None = None, world: int = 1) -> tuple[str, ...]:
    """One sentence each. items: how many there are to train on, where that is known; world: number of processes."""
    loss, optim, model, steps = config.loss, config.optim, config.model, config.run.steps
    found = []
    if model.freeze != "none" and model.freeze_from >= steps:
        found.append(f"freeze_from {model.freeze_from} is not before the last step {steps - 1}: nothing is frozen")
    elif model.freeze != "none" and model.freeze_from == 0 and model.pretrained is None:
        found.append(
            "the encoder is frozen from the start and model.pretrained is not set: its random weights are kept"
        )
    if loss.equivariance_weight > 0 and model.freeze != "none" and model.freeze_from == 0:
        found.append(
            "equivariance_weight shapes the latent and the encoder is frozen: only the decoder learns to bear moved latents"
        )
    if loss.disc != "none" and loss.disc_start >= steps:
        found.append(
            f"disc_start {loss.disc_start} is not before the last step {steps - 1}: this run never trains a GAN"
        )
    elif loss.disc != "none":
        for name in ("disc_weight", "disc_factor"):
            if getattr(loss, name) == 0:
                found.append(
                    f"{name} is 0: the discriminator is built, and the autoencoder never learns from it; loss.disc=none is cheaper"
                )
        if loss.disc_start + loss.disc_ramp > steps:
            found.append(
                f"disc_ramp {loss.disc_ramp} from disc_start {loss.disc_start} on does not end within the run's {steps} steps"
            )
        if optim.disc_warmup_steps > steps - loss.disc_start + loss.disc_warmup:
            found.append(f"disc_warmup_steps {optim.disc_warmup_steps} does not end within the run's {steps} steps")
    if loss.kl_warmup >= steps:
        found.append(
            f"kl_warmup {loss.kl_warmup} does not end within the run's {steps} steps: kl_weight is never in force"
        )
    together = config.run.batch_size * optim.accumulate * world
    if items is not None and together > items:
        found.append(
            f"one update takes {together} samples (batch_size x accumulate x processes), and there are {items} items to train on: it holds"
            " some of them more than once"
        )
    return tuple(found)
