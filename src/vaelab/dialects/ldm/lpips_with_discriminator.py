"""Settings of the loss class LPIPSWithDiscriminator, which CompVis' latent-diffusion wrote and RadioDiff took over."""

from __future__ import annotations

from vaelab.config.foreign.draft import Draft


def kl_perceptual_logvar(d: Draft, prefix: str, item: str) -> None:
    """Weights of KL and LPIPS, and the constant logvar. prefix: where the loss's keys stand. item: "an image", "a map"."""
    d.maps(f"{prefix}kl_weight", "loss.kl_weight", d.get(f"{prefix}kl_weight", 1.0))
    d.fixed("KL", "loss.kl_reduction", "sum", f"over all latent elements of {item}")
    d.maps(f"{prefix}perceptual_weight", "loss.perceptual_weight", d.get(f"{prefix}perceptual_weight", 1.0))
    d.fixed("LPIPS", "loss.perceptual", "vgg16")
    if f"{prefix}logvar_init" in d.options:
        d.maps(
            f"{prefix}logvar_init",
            "loss.logvar_init",
            d.get(f"{prefix}logvar_init", 0.0),
            "a constant: no optimizer holds it",
        )


def discriminator_start(d: Draft, prefix: str, steps: int, counted: str) -> None:
    """When the GAN begins, and that the discriminator learns before. counted: what the original's number counts."""
    start = d.get(f"{prefix}disc_start", 50_001)
    if start < steps:
        d.maps(f"{prefix}disc_start", "loss.disc_start", start, counted)
    else:
        d.corrected(
            f"{prefix}disc_start",
            "loss.disc_start",
            steps // 2,
            f"{start} is beyond the {steps} steps of the run; half of it is taken",
        )
        start = steps // 2
    d.mended(
        "discriminator at its start",
        "loss.disc_warmup",
        min(2000, start // 10),
        "before disc_start its loss is multiplied by 0 there, so the decoder meets an untrained one; here it is trained alone before",
    )


def discriminator_weights(d: Draft, prefix: str, items: str) -> None:
    """Weight, depth and kind of the discriminator's loss. items: "images", "maps"."""
    d.maps(f"{prefix}disc_weight", "loss.disc_weight", d.get(f"{prefix}disc_weight", 1.0))
    for key, ours, default in (("disc_factor", "loss.disc_factor", 1.0), ("disc_num_layers", "loss.disc_layers", 3)):
        if f"{prefix}{key}" in d.options:
            d.maps(f"{prefix}{key}", ours, d.get(f"{prefix}{key}", default))
    if f"{prefix}disc_loss" in d.options:
        d.maps(f"{prefix}disc_loss", "loss.disc_loss", d.options[f"{prefix}disc_loss"])
    if f"{prefix}disc_in_channels" in d.options:
        d.maps(f"{prefix}disc_in_channels", "", None, "that of the data, data.channels")
    d.mended(
        "batch norm of the discriminator",
        "loss.disc_norm",
        "group",
        f"batch norm lets real and fake {items} share statistics",
    )
