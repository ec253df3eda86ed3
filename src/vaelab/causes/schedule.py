"""Family G: schedule and configuration."""

from __future__ import annotations

from vaelab.causes import checks
from vaelab.causes.changes import Set, in_the_trainers_unit
from vaelab.causes.types import Cause, shows

SCHEDULE: tuple[Cause, ...] = (
    Cause("G1", "start-in-other-units", "disc_start is counted in other units than expected",
          signature="The discriminator appears at half or double the planned step.",
          test="Compare the first step with discriminator columns with disc_start: a factor of 2, or of the steps per epoch, decides.",
          advice="State disc_start in the trainer's units (Lightning counts every optimizer's steps).",
          change=(Set("disc_start", in_the_trainers_unit),), expected="The discriminator appears at the planned step.",
          falsify="It appears at disc_start.",
          sources="ByteVisionLab/TokenFlow#22; CompVis/taming-transformers#129; microsoft/VidTok: main.py",
          expects=shows(often="ADV315 ADV318"), check=checks.start_in_another_unit, decided_by="lint"),
    Cause("G2", "step-counter-restarts", "The step counter restarts with new weights",
          signature="A second stage waits for disc_start again.", look_alikes=(("D1", "the start is beyond the run"),),
          test="Read the first step of the second log.",
          advice="Carry the step over, or set disc_start to 0 in the second stage.", change=(Set("disc_start", 0),),
          sources="jy0205/Pyramid-Flow: video_vae (pretrained_vae_weight)"),
    Cause("G3", "config-without-effect", "A configuration value has no effect",
          signature="The pixel count or weight solved from the log differs from the configuration.",
          test="Solve nll / rec_loss for the pixel count and compare with the stated resolution.",
          advice="Set the value where the loader or loss reads it.", expected="The log's algebra gives the stated value.",
          falsify="The algebra closes with the stated value.",
          sources="UNIC-Lab/RadioDiff: configs/first_radio.yaml (resolution 320, data 256)",
          expects=shows(often="SCH601", never="SCH602"), decided_by="lint"),
    Cause("G4", "unlike-runs-compared", "Runs with different weights, clip sizes or ranges are compared",
          signature="A rule of thumb from one run does not fit another: nll and KL differ, PSNR and nats per element need not.",
          look_alikes=(("E6", "only the weights differ"),), test="Compare PSNR, perceptual loss and nats per element.",
          advice="Compare in normalised units only (vaelab compare A B).", sources="arithmetic of the loss"),
    Cause("G5", "logvar-learned-in-one-run", "The output log-variance is learned in one run and fixed in the other",
          signature="nll is negative or drifts in one of the runs.", look_alikes=(("E1", "there reconstruction itself drifts"),),
          test="Look whether logvar moves.", advice="Compare the reconstruction loss, not the nll.",
          expected="Reconstruction losses compare.", falsify="logvar is constant in both.",
          sources="huggingface/diffusers#5731; hpcaitech/Open-Sora#651",
          expects=shows(sometimes="MET1001:total")),
)  # fmt: skip
