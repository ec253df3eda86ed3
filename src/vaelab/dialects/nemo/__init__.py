"""NeMo: fine-tuning of the Cosmos tokenizers, and its audio codecs.

Read: NVIDIA/NeMo, branch ``cosmos_tokenizer`` at 1e5f900, ``nemo/collections/physicalai/tokenizer/losses/loss.py``,
``losses/config.py``, ``tokenizer_model.py``, ``train_tokenizer.py``; main at 8cfedd7, ``nemo/collections/tts/models/audio_codec.py``,
``nemo/collections/tts/losses/audio_codec_loss.py``, ``nemo/lightning/pytorch/callbacks/progress_printer.py`` (console lines are means
over its log_interval, four significant digits). NVIDIA/Cosmos-Tokenizer itself has no trainer.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="cosmos_tokenizer",
        title="Cosmos tokenizer (NeMo)",
        source="NVIDIA/NeMo at 1e5f900 (branch cosmos_tokenizer)",
        recognised_by=(
            Signature(frozenset({"color", "lpips", "gram"}), 0.9),
            Signature(frozenset({"color", "lpips", "flow"}), 0.9),
            Signature(frozenset({"color", "lpips", "reduced_train_loss"}), 0.9),
        ),
        columns={
            "loss": "total_loss",
            "reduced_train_loss": "total_loss",
            "color": "rec_loss",
            "lpips": "perceptual_loss",
            "peak_memory(gb)": "memory",
        },
        rec_kind="l1",
        kl_reduction="none",
        formulas={
            "total_loss": "color + lpips + gram + flow as they are logged: every term already has its weight, and no GAN and no KL is in it"
            " (with the default reduction, MEAN)",
            "rec_loss": "printed as color: mean |x - recon|, weight 1, times a mask of the human figure after step 500,000 if the data has one",
            "perceptual_loss": "printed as lpips: VGG features without LPIPS' learned heads, times 0.1 (0.073 after step 500,000)",
            "gram": "squared difference of Gram matrices, logged only once its weight is not 0: 0.062 after step 500,000",
            "flow": "L1 of RAFT's optical flow, videos only, weight 0.01 after step 250,000",
        },
        known_faults=(
            KnownFault(
                "E6",
                "weights change at steps 250,000 and 500,000: the total steps up there without anything being wrong",
            ),
        ),
    ),
    Dialect(
        id="nemo_audio_codec",
        title="NeMo audio codec (Lightning)",
        source="NVIDIA/NeMo at 8cfedd7",
        reading_only=True,
        recognised_by=(
            Signature(frozenset({"g_loss_mel_l1", "g_loss_feature"}), 0.95),
            Signature(frozenset({"g_loss_stft", "g_loss_feature"}), 0.9),
        ),
        columns={
            "g_loss_mel_l1": "rec_loss",
            "g_loss_gen": "g_loss",
            "g_loss_feature": "feature_matching_loss",
            "g_loss_commit": "quant_loss",
            "d_loss": "disc_loss",
            "t_loss": "rec_loss",
        },
        rec_kind="spectral",
        kl_reduction="none",
        input_range=None,
        extra_terms={"feature_matching_loss": "feature_matching_weight", "quant_loss": "commit_weight"},
        formulas={
            "rec_loss": "printed as g_loss_mel_l1: L1 of log-mel spectra over several windows, without its weight; t_loss in the bar repeats it",
            "g_loss": "printed as g_loss_gen, without weight: least squares or hinge by the settings, mean over the discriminators",
            "disc_loss": "printed as d_loss, in the batches that train the discriminator: half the sum of both halves, mean over the discriminators;"
            " least squares (0.25 at chance) or hinge (1.0 at chance) by the settings",
            "total_loss": "not logged",
        },
    ),
)
