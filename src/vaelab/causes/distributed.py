"""Family H: distributed training and resume."""

from __future__ import annotations

from vaelab.causes import checks
from vaelab.causes.changes import Set
from vaelab.causes.types import Cause, shows

DISTRIBUTED: tuple[Cause, ...] = (
    Cause(
        "H1",
        "ddp-bypassed",
        "DistributedDataParallel is bypassed, so ranks do not share gradients",
        signature="No trace in the log; more GPUs bring nothing; ranks drift apart.",
        look_alikes=(("E2", "a low rate is slow on one GPU as well"),),
        test="Compare a parameter's checksum over ranks after 10 steps.",
        advice="Call the wrapped model, not model.module or the unwrapped one.",
        sources="UNIC-Lab/RadioDiff: train_vae.py; k2-fsa/icefall#226; rosinality/swapping-autoencoder-pytorch#22",
        decided_by="smoke",
    ),
    Cause(
        "H2",
        "only-rank-0-logged",
        "Only rank 0's losses are logged",
        signature="One rank stands for all.",
        test="Read where the meters are averaged.",
        advice="Average over ranks before printing.",
        sources="jy0205/Pyramid-Flow: trainer_misc/utils.py",
    ),
    Cause(
        "H3",
        "discriminator-not-restored",
        "The discriminator or its optimizer is not restored on resume",
        signature="After a resume disc_loss jumps to about its chance level, reconstruction spikes and d_weight "
        "starts anew.",
        look_alikes=(("H4", "there every term jumps, not only the adversarial ones"), ("D5", "a first start")),
        test="Compare disc_loss just before and just after the resume, and look for the discriminator in the "
        "checkpoint.",
        advice="Save and load the discriminator and its optimizer.",
        expected="disc_loss continues across the resume.",
        falsify="disc_loss continues.",
        sources="omertov/encoder4editing#22; sanghyun-son/EDSR-PyTorch#245; TensorSpeech/TensorFlowTTS#409; "
        "evonneng/learning2listen#9",
        needs=("resume",),
        expects=shows(often="RES802", sometimes="MET1002 ADV303 DAT710"),
    ),
    Cause(
        "H4",
        "optimizer-not-restored",
        "The optimizer's state is not restored on resume",
        signature="The first steps after a resume move all weights by the full rate: a spike in every term.",
        test="Compare all terms before and after the resume, and look for the optimizer in the checkpoint.",
        advice="Load the optimizer's state; otherwise warm up again.",
        change=(Set("warmup_steps", 500),),
        expected="No spike at the next resume.",
        falsify="No term jumps at the resume.",
        sources="NVlabs/stylegan2-ada-pytorch#108; valeoai/Halton-MaskGIT#15; junyanz/pytorch-CycleGAN-and-pix2pix#1380",
        needs=("resume",),
        expects=shows(
            often="MET1002", sometimes="DAT710 MET1005:reconstruction MET1002:reconstruction MET1002:perceptual"
        ),
    ),
    Cause(
        "H5",
        "hang",
        "A hang: unused parameters or a lost rank",
        signature="The log stops without an error.",
        look_alikes=(("D2", "the log ends at the GAN start"),),
        test="Look at the processes' stacks (py-spy dump) or wait for the collective's time-out.",
        advice="Let DistributedDataParallel find unused parameters, or use a static graph.",
        expected="The run passes the step.",
        falsify="The process has ended, or data_time was rising.",
        sources="Lightning-AI/pytorch-lightning#20328",
        needs=("rows",),
        expects=shows(sometimes="NUM505"),
    ),
    Cause(
        "H6",
        "batchnorm-per-rank",
        "Batch normalisation keeps statistics per rank",
        signature="The discriminator's accuracy differs by rank.",
        look_alikes=(("D11", "the modes differ, not the ranks"),),
        test="Score one batch with each rank's statistics.",
        advice="Synchronised batch normalisation.",
        sources="Lightning-AI/pytorch-lightning#666",
    ),
    Cause(
        "H7",
        "resume-details-lost",
        "The discriminator's scaler or one step is lost on resume",
        signature="A tiny offset after each resume.",
        look_alikes=(("H4", "a visible spike"),),
        test="Compare the step before and after the resume.",
        advice="Save the scaler; mend the counter.",
        sources="jy0205/Pyramid-Flow: trainer_misc/utils.py",
    ),
    Cause(
        "H8",
        "settings-changed-at-resume",
        "The run was resumed with other settings",
        signature="At a resume nll, total or lr change by a constant factor while the unweighted terms go on.",
        look_alikes=(
            ("H4", "there the terms themselves spike and come back"),
            ("E6", "the weights differ between two runs, or change in mid-run without a resume"),
        ),
        test="Compare nll / rec_loss and lr before and after the resume; compare the two configurations.",
        advice="Resume with the settings of the checkpoint; if the change is meant, judge the unweighted terms.",
        expected="nll / rec_loss and lr go on as before.",
        falsify="The configurations agree.",
        sources="arithmetic of the loss",
        needs=("resume",),
        expects=shows(often="SCH602", sometimes="SCH607 SCH604 SCH601 ALG901 OPT402 OPT404 MET1002"),
        check=checks.weights_differ_after_resume,
        decided_by="lint",
    ),
    Cause(
        "H9",
        "weights-not-restored",
        "Training began again from untrained weights",
        signature="The reconstruction loss is back at the level of the first rows and falls again as it did there; the step may go on.",
        look_alikes=(
            ("H4", "there the loss comes back within hundreds of steps"),
            ("A5", "other data: it stays, or falls from another level"),
        ),
        test="See which checkpoint the process loaded at that step, and whether keys were missing.",
        advice="Go back to the last checkpoint before that step; let a resume fail where it finds no checkpoint.",
        expected="The loss goes on where it was.",
        falsify="The process was not restarted there.",
        sources="users' logs of resumed runs",
        expects=shows(often="RES804", sometimes="MET1002:reconstruction"),
    ),
)
