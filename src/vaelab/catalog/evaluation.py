"""Metrics of an evaluation on pictures or clips."""

from __future__ import annotations

from vaelab.catalog.types import Band, Metric

EVALUATION: tuple[Metric, ...] = (
    Metric(
        "psnr",
        "PSNR",
        ("psnr",),
        "evaluation",
        "up",
        "dB",
        meaning="10 log10(range^2 / MSE): the error in decibels against the data range.",
        read_as="Only with the same data, resolution and frame count. A wrong range shifts it by 6.02 dB; the mean "
        "of PSNRs is higher than the PSNR of the mean error.",
        bands=(
            Band(
                "29.6 to 32 dB: 4 to 8 channels, 4x8x8",
                29.6,
                32.0,
                "held-out video at 256x256, KL VAE",
                "conditional",
                "VidTok 4ch 29.64, 8ch 31.83 on MCL-JCV; WF-VAE-L 4ch 32.32 on WebVid. Never compare across data sets.",
                "microsoft/VidTok README; WF-VAE paper, table 1",
            ),
            Band(
                "35 to 37 dB: 16 channels, 4x8x8 or 8x8x8",
                35.0,
                37.0,
                "held-out video at 256x256, KL VAE",
                "conditional",
                "VidTok 16ch 35.04, CogVideoX 35.72 to 36.38, WF-VAE-M 36.91, Cosmos-CV 8x8x8 36.86.",
                "microsoft/VidTok README; PKU-YuanGroup/Open-Sora-Plan report 1.5.0; NVlabs/TokenBench",
            ),
        ),
        sources=("microsoft/VidTok README", "WF-VAE paper, table 1"),
    ),
    Metric(
        "ssim",
        "SSIM",
        ("ssim",),
        "evaluation",
        "up",
        meaning="Structural similarity of input and reconstruction, 1 is identical.",
        read_as="With PSNR on the same data; published video VAEs lie at 0.83 to 0.95.",
        sources=("microsoft/VidTok README; PKU-YuanGroup/Open-Sora-Plan report 1.5.0; NVlabs/TokenBench",),
    ),
    Metric(
        "lpips",
        "LPIPS (evaluation)",
        ("lpips",),
        "evaluation",
        "down",
        meaning="Perceptual distance on held-out data, mostly with AlexNet.",
        read_as="Name the network: VGG values are about 1.5 to 2 times AlexNet's. Published video VAEs lie at 0.0175 "
        "to 0.114.",
        sources=("richzhang/PerceptualSimilarity#82", "WF-VAE paper, table 1"),
    ),
    Metric(
        "rfvd",
        "rFVD",
        ("rfvd", "fvd"),
        "evaluation",
        "down",
        meaning="Distance between feature distributions of real and reconstructed clips.",
        read_as="Only with the same clip count, length, resolution and network.",
        sources=("microsoft/VidTok README; PKU-YuanGroup/Open-Sora-Plan report 1.5.0; NVlabs/TokenBench",),
    ),
    Metric(
        "rfid",
        "rFID",
        ("rfid", "fid"),
        "evaluation",
        "down",
        meaning="Distance between feature distributions of real and reconstructed pictures.",
        read_as="It can disagree with PSNR altogether: one published model has rFID 0.58 at 18.9 dB. Protocol (5k or "
        "50k pictures, resizing) changes it more than models do.",
        sources=("bytetriper/RAE#13", "hustvl/LightningDiT#26"),
    ),
    Metric(
        "flickering",
        "temporal flicker",
        ("flickering", "flicker"),
        "evaluation",
        "down",
        meaning="Error of frame differences.",
        read_as="Together with the error of frames: LPIPS down and flicker up means too heavy a perceptual loss.",
        sources=("PKU-YuanGroup/WF-VAE: val metrics", "Overworldai/owl-vaes#10"),
    ),
)
