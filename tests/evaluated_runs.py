"""Runs on which the rules of ``vaelab evaluate`` must fire: numbers as it measures them on held-out clips."""

from __future__ import annotations

from rule_runs import fires, vae
from synthetic_runs import Draft

HEALTHY: dict[str, float] = {
    "clips": 32, "psnr": 30.0, "rec_mse": 0.004, "explained_variance": 0.95, "explained_variance_high": 0.97,
    "non_finite": 0, "hf_ratio": 0.8, "grid_peak": 1.2, "grid_period": 2.0, "grid_level": 0.2, "grid_input_level": 0.1,
    "colour_bias": 0.002, "colour_shift": 0.004, "bias_r": 0.002, "bias_g": 0.0, "bias_b": -0.001, "motion_ratio": 0.97,
    "flickering": 3.0, "first_frame": 0.4, "seam": 1.1, "chunk_loss": 0.1, "order_bgr_error": 4.0,
    "range_0_1_error": 60.0, "range_0_255_error": 90.0, "range_half_error": 20.0, "range_inverted_error": 90.0,
}  # fmt: skip


def evaluated(**changed: float) -> Draft:
    """A healthy log with what an evaluation of a healthy checkpoint measures, but for ``changed``."""
    out = vae()
    out.measured = {f"evaluation.{name}": float(value) for name, value in {**HEALTHY, **changed}.items()}
    return out


def case(code: str, severity: str, shown: str, **changed: float) -> None:
    @fires(code, severity, {f"evaluation.{shown}": (changed[shown], 0.0)})
    def _() -> Draft:
        return evaluated(**changed)


case("REC118", "info", "explained_variance", explained_variance=0.3, explained_variance_high=0.4)
case("REC119", "critical", "explained_variance_high", explained_variance=0.0, explained_variance_high=0.02)
case("REC120", "critical", "non_finite", non_finite=3)
case("REC121", "warn", "grid_peak", grid_peak=6.0, grid_level=1.5)
case("REC122", "critical", "motion_ratio", motion_ratio=0.004, first_frame=9.0)
case("REC123", "warn", "hf_ratio", hf_ratio=0.2)
case("REC124", "warn", "hf_ratio", hf_ratio=2.5)
case("REC125", "critical", "colour_bias", colour_bias=0.12, bias_r=0.12)
case("REC126", "critical", "order_bgr_error", order_bgr_error=0.05)
case("REC127", "critical", "range_0_1_error", range_0_1_error=0.01)
case("REC128", "warn", "first_frame", first_frame=-5.0)
case("REC129", "warn", "seam", seam=4.0)
case("REC130", "warn", "motion_ratio", motion_ratio=2.0)
