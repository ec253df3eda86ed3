"""Runs on which the rules of ``vaelab probe`` must fire, and their healthy twins: numbers as a probe measures them."""

from __future__ import annotations

from rule_runs import fires, vae
from synthetic_runs import Draft

HEALTHY: dict[str, float] = {
    "clips": 64, "latent_channels": 4, "dead_channels": 0, "active_share": 1.0, "outlier_channels": 0,
    "largest_channel_std_ratio": 1.8, "latent_max_over_std": 5.5, "latent_std": 1.9, "latent_mean": 0.1,
    "scale_factor": 1 / 1.9, "declared_scale_product": 1.02, "kl_nats_per_element": 4.0, "kl_mean_part": 1.5,
    "kl_logvar_part": 2.5, "logvar_floor_share": 0.0, "logvar_ceiling_share": 0.0, "first_frame_std_ratio": 0.95,
    "psnr": 30.0, "psnr_sample": 29.9, "psnr_lost_by_sampling": 0.1, "decoder_response": 0.97, "latent_bypass": 0.02,
    "psnr_of_noise_tenth": 31.0, "local_grid_peak": 0.5, "local_grid_period": 2.0, "local_grid_level": 0.0, "flat_level": 0.2, "flat_period": 8.0, "values_per_latent": 48.0, "decoder_to_past": 0.0, "encoder_to_past": 0.0,
    "disc_updates": 20_000, "disc_tells_fake": 0.8, "disc_tells_fake_low": 0.76, "disc_tells_fake_high": 0.84,
    "disc_tells_blurred": 0.97, "disc_tells_blurred_low": 0.95, "disc_tells_blurred_high": 0.99,
    "disc_loss_over_chance": 0.7, "disc_gap": 0.8, "disc_gap_training": 0.9, "disc_memory": 0.1,
    "disc_memory_low": -0.1, "gradient_share_pixel": 0.4, "gradient_share_gan": 0.3,
    "latent_gradient_share_kl": 0.02, "perceptual_gradient": 0.3, "clip_share": 0.1, "grad_norm_p90": 0.9,
    "clip_grad": 1.0,
}  # fmt: skip


def measured(**changed: float) -> Draft:
    """A healthy log with what a probe of a healthy checkpoint measures, but for ``changed``."""
    out = vae()
    out.measured = {f"probe.{name}": float(value) for name, value in {**HEALTHY, **changed}.items()}
    return out


def case(code: str, severity: str, **changed: float) -> None:
    evidence = {f"probe.{name}": (value, 0.0) for name, value in changed.items() if name in SHOWN.get(code, ())}

    @fires(code, severity, evidence)
    def _() -> Draft:
        return measured(**changed)


SHOWN: dict[str, tuple[str, ...]] = {
    "KL221": ("dead_channels",),
    "KL223": ("largest_channel_std_ratio",),
    "KL227": ("declared_scale_product",),
    "REC131": ("decoder_response",),
    "REC143": ("flat_level", "flat_period"),
    "ADV331": ("disc_tells_fake", "disc_tells_blurred"),
    "ADV335": ("disc_gap_training", "disc_gap"),
    "OPT421": ("clip_share",),
}

case("KL221", "warn", dead_channels=1, active_share=0.75)
case("KL222", "critical", dead_channels=4, active_share=0.0)
case("KL223", "warn", outlier_channels=1, largest_channel_std_ratio=21.0)
case("KL224", "warn", latent_max_over_std=60.0)
case("KL225", "warn", logvar_floor_share=0.6)
case("KL226", "critical", logvar_ceiling_share=0.2)
case("KL227", "critical", declared_scale_product=0.35)
case("KL228", "info", first_frame_std_ratio=0.6)
case("KL229", "warn", psnr_lost_by_sampling=3.0)
case("KL230", "warn", latent_std=55.0)
case("KL231", "warn", latent_gradient_share_kl=0.7)
case("KL232", "info", latent_channels=16)
case("REC137", "info", decoder_response=0.6)
case("REC131", "critical", decoder_response=0.001)
case("REC132", "critical", latent_bypass=300.0, decoder_response=0.0)
case("REC140", "warn", local_grid_peak=3.0, local_grid_period=2.0, local_grid_level=2.8)
case("REC143", "warn", flat_level=3.2, flat_period=8.0)
case("REC133", "warn", values_per_latent=0.75)
case("REC134", "info", encoder_to_past=0.4)
case("REC135", "info", psnr_of_noise_tenth=14.0)
case("REC136", "critical", perceptual_gradient=0.0)
case(
    "ADV331",
    "critical",
    disc_tells_fake=0.5,
    disc_tells_fake_high=0.52,
    disc_tells_blurred=0.53,
    disc_tells_blurred_high=0.6,
)
case("ADV332", "info", disc_tells_fake=0.52, disc_tells_fake_high=0.55)
case(
    "ADV333", "info", disc_tells_fake=0.96, disc_tells_fake_low=0.9, disc_tells_blurred=0.6, disc_tells_blurred_high=0.7
)
case("ADV334", "warn", disc_loss_over_chance=0.02, disc_tells_fake=0.99)
case("ADV335", "warn", disc_gap_training=3.0, disc_gap=0.5, disc_memory_low=1.5)
case("ADV336", "warn", gradient_share_gan=0.95)
case("OPT421", "info", clip_share=0.9)
