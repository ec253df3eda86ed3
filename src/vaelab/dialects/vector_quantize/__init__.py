"""The examples of vector-quantize-pytorch: a bar whose description holds the metrics (``rec loss: 0.123 | cmt loss: ...``).

Read: lucidrains/vector-quantize-pytorch at 0d7d1aa, ``examples/autoencoder*.py`` (vq, fvq, hq, sim_vq, lfq, fsq, fsp). The library
itself logs nothing: a loop of one's own around it is nobody's dialect.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="vector_quantize",
        title="vector-quantize-pytorch examples",
        source="lucidrains/vector-quantize-pytorch at 0d7d1aa",
        recognised_by=(
            Signature(frozenset({"rec_loss", "cmt_loss"}), 0.9),
            Signature(frozenset({"rec_loss", "entropy_aux_loss"}), 0.9),
            Signature(frozenset({"rec_loss", "sim_loss", "active_%"}), 0.9),
            Signature(frozenset({"rec_loss", "norm_loss", "active_%"}), 0.9),
            Signature(frozenset({"rec_loss", "active_%"}), 0.8),
        ),
        columns={
            "cmt_loss": "quant_loss",
            "sim_loss": "quant_loss",
            "entropy_aux_loss": "entropy_loss",
            "active_%": "cluster_usage",
        },
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        extra_terms={"quant_loss": "commit_weight"},
        formulas={
            "rec_loss": "mean |x - recon|, recon clamped to [-1, 1]; the loss is rec + alpha (10) * cmt, and the sum is not printed",
            "quant_loss": "cmt loss: commitment, without alpha; sim loss: SimVQ's, weight 1",
            "entropy_loss": "entropy aux loss: LFQ's entropy terms times 0.02, and its commitment; negative is normal",
            "cluster_usage": "active %: different codes in this batch, in percent of the codebook",
        },
        known_faults=(
            KnownFault(
                "B8",
                "the output is clamped before the loss: a pixel outside [-1, 1] has no gradient, and may stay there",
            ),
        ),
    ),
)
