"""Family I: evaluation."""

from __future__ import annotations

from vaelab.causes.types import Cause, shows

EVALUATION: tuple[Cause, ...] = (
    Cause("I1", "previews-from-training-batch", "Previews show the training batch",
          signature="Previews always look good.", look_alikes=(("A6", "the validation split itself leaks"),),
          test="Read which batch the previews use.", advice="Use a fixed held-out set.", sources="UNIC-Lab/RadioDiff: train_vae.py"),
    Cause("I2", "psnr-range-or-averaging", "PSNR with another range or another average",
          signature="An offset of exactly 6.02 dB, or of 1 to 2 dB.", look_alikes=(("I5", "damaged weights cost far more"),),
          test="Compute both ways on ten pictures: range 1 or 2, mean of PSNRs or PSNR of the mean error.",
          advice="State range and average beside the number.", sources="arithmetic: 20 log10 2 = 6.02 dB", decided_by="evaluate"),
    Cause("I3", "lpips-network-differs", "LPIPS with AlexNet is compared with LPIPS with VGG",
          signature="A factor of about 1.5 to 2.", look_alikes=(("I2", "PSNR agrees"),), test="Compute both on ten pairs.",
          advice="Name the network beside the number.", sources="richzhang/PerceptualSimilarity"),
    Cause("I4", "rfid-protocol-differs", "rFID under another protocol",
          signature="rFID off by tenths, or rFID above 10 with PSNR 6 from the authors' own checkpoint.",
          look_alikes=(("I5", "broken weights: PSNR is bad in every protocol"),),
          test="Run the authors' evaluation on the authors' checkpoint.",
          advice="The same number of pictures, resizing and split; check the checkpoint's hash.",
          sources="TencentARC/SEED-Voken#13; hustvl/LightningDiT#26; Hhhhhhao/continuous_tokenizer#18"),
    Cause("I5", "damaged-weights", "The weights are damaged although the file has the right size",
          signature="A mesh over the picture, 15 dB lost.", look_alikes=(("B12", "tiling leaves seams at borders only"),),
          test="Compare the file's sha256 with the published one.", advice="Download again.", expected="The published quality.",
          falsify="The hash agrees.", sources="deepbeepmeep/Wan2GP#2367; Wan-Video/Wan2.1#297",
          expects=shows(sometimes="REC120 REC121")),
    Cause("I6", "test-clips-differ", "Test clips differ in motion or frame rate",
          signature="PSNR 3 to 5 dB apart between sets.", look_alikes=(("I2", "an exact 6.02 dB is the range"),),
          test="Evaluate a published model on your clips.", advice="Use a fixed public set (MCL-JCV, Panda-70M).",
          sources="modelscope/DiffSynth-Studio#650", decided_by="evaluate"),
)  # fmt: skip
