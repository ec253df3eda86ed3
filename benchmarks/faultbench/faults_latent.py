"""Faults of the latent: KL weight, collapse, drift, overflow, codebook (family C, and F4)."""

from __future__ import annotations

from mechanism import KL_SYSTEMS, Mechanism, climbs, fixed, grows, rises, times, to

VQ = ("vq",)
NO_VAELAB = ("pyramid_flow", "radiodiff", "lightning")

FAULTS = [
    Mechanism("kl-heavy", "KL weight too large", ("C2",), ("C1", "C7"), when="start", systems=KL_SYSTEMS, turns=(times("kl", 30, 3e6),)),
    Mechanism("kl-jump", "the KL weight jumps, unseen in the settings", ("C2",), ("C1", "E6"), systems=KL_SYSTEMS, ends=True, turns=(times("kl", 30, 3e6),)),
    Mechanism("kl-grows", "the KL weight grows without end", ("C2",), ("C1", "E6"), systems=KL_SYSTEMS, turns=(grows("kl", 300, 3e7),)),
    Mechanism("kl-heavy-finetune", "a trained model goes on with a KL weight far above its own", ("C2",), ("C1",), when="start", systems=KL_SYSTEMS,
              pretrained=True, turns=(times("kl", 30, 3e6),)),
    Mechanism("kl-summed", "the KL is summed where its weight is for a mean", ("C7", "C2"), ("C1",), when="start", systems=KL_SYSTEMS, turns=(times("kl", 1e3, 3e5),)),
    Mechanism("kl-collapse", "KL weight that empties the latent", ("C1", "C2"), ("C7",), when="start", systems=KL_SYSTEMS, turns=(times("kl", 1e5, 3e7),)),
    Mechanism("latent-lost-late", "the encoder's output fades and the decoder learns to do without", ("C1",), ("B8", "E1"), systems=KL_SYSTEMS,
              turns=(times("latent_gain", 0.7, 0.003), times("latent_scale", 0.7, 0.003))),
    Mechanism("posterior-wide", "the posterior is far too wide", ("C1", "B8"), ("C2",), systems=KL_SYSTEMS, turns=(to("logvar_shift", 1.0, 14.0),)),
    Mechanism("latent-grows", "the latent grows without bound", ("C3",), systems=KL_SYSTEMS, turns=(grows("latent_gain", 3, 1e5),)),
    Mechanism("latent-jumps", "the latent is many times larger from some step on", ("C3",), ("C10", "C9"), systems=KL_SYSTEMS, turns=(times("latent_gain", 2, 300),)),
    Mechanism("latent-runs-up", "the latent's scale runs away in the end", ("C3",), ("E1",), systems=KL_SYSTEMS, turns=(climbs("latent_gain", 3, 3e3),)),
    Mechanism("logvar-sinks", "the posterior's variance falls to the floor", ("C4",), ("C3",), systems=KL_SYSTEMS, turns=(rises("logvar_shift", -3, -300),)),
    Mechanism("logvar-floor", "the posterior's variance sits at its lower clamp", ("C4",), ("C3",), when="start", systems=KL_SYSTEMS, turns=(rises("logvar_shift", -30, -3e3),)),
    Mechanism("logvar-drops", "the posterior's variance falls at once", ("C4",), ("C3",), systems=KL_SYSTEMS, turns=(rises("logvar_shift", -300, -3e5),)),
    Mechanism("logvar-overflow", "unclamped logvar rises until exp overflows", ("F4",), ("C3", "F1", "F6"), systems=("pyramid", "radio", "rgb"), dialects=NO_VAELAB,
              unguarded=True, turns=(fixed("logvar_clamp", 0.0), climbs("logvar_shift", 60, 3e4))),
    Mechanism("logvar-rises", "unclamped logvar rises in a straight line", ("F4",), ("C3", "F1", "F6"), systems=("pyramid", "radio", "rgb"), dialects=NO_VAELAB,
              unguarded=True, turns=(fixed("logvar_clamp", 0.0), rises("logvar_shift", 5, 500))),
    Mechanism("logvar-jumps", "unclamped logvar is far too large at once", ("F4",), ("C3", "F1", "F6", "B8"), systems=("pyramid", "radio", "rgb"), dialects=NO_VAELAB,
              unguarded=True, turns=(fixed("logvar_clamp", 0.0), to("logvar_shift", 2, 120))),
    Mechanism("dead-channels", "a part of the latent channels carries nothing", ("C5",), ("C1",), when="start", systems=("video", "rgb"), dialects=("vaelab", "tensorboard"),
              turns=(to("channels_lost", 0.2, 0.9),)),
    Mechanism("channels-die", "a part of the latent channels dies in mid-run", ("C5",), ("C1", "B8"), systems=("video", "rgb"), dialects=("vaelab", "tensorboard"),
              turns=(to("channels_lost", 0.2, 0.9),)),
    Mechanism("channels-fade", "one latent channel after another dies", ("C5",), ("C1", "B8"), systems=("video", "rgb"), dialects=("vaelab", "tensorboard"),
              turns=(rises("channels_lost", 0.3, 1.2),)),
    Mechanism("hot-spot", "one place of the latent is far outside", ("C6",), ("C3",), systems=KL_SYSTEMS, turns=(to("hot_spot", 3, 3e3),)),
    Mechanism("hot-spot-grows", "one place of the latent runs away", ("C6",), ("C3",), systems=KL_SYSTEMS, turns=(rises("hot_spot", 10, 3e4),)),
    Mechanism("hot-spot-start", "one place of the latent is far outside from the beginning", ("C6",), ("C3",), when="start", systems=KL_SYSTEMS, turns=(to("hot_spot", 3, 3e3),)),
    Mechanism("codes-lost", "a part of the codes is out of reach", ("C12",), when="any", systems=VQ, turns=(to("codes_lost", 0.3, 0.98),)),
    Mechanism("codebook-frozen", "the codebook is hardly trained", ("C12",), ("C15",), when="start", systems=VQ, turns=(times("codebook", 0.3, 1e-4),)),
    Mechanism("commitment-heavy", "the commitment term weighs too much", ("C12", "E6"), ("C15",), when="start", systems=VQ, turns=(times("commitment", 5, 3e4),)),
    Mechanism("commitment-off", "no commitment: the encoder runs away from the codebook", ("C15",), ("C12",), when="start", systems=VQ, turns=(times("commitment", 0.1, 1e-6),)),
    Mechanism("encoder-runs", "the encoder's scale grows faster than the codebook follows", ("C15",), ("C12",), systems=VQ, turns=(grows("latent_scale", 2, 1e4),)),
    Mechanism("encoder-jumps", "the encoder's scale jumps", ("C15",), ("C12", "E1"), systems=VQ, turns=(times("latent_scale", 1.5, 100),)),
]  # fmt: skip
