"""Family A: the data."""

from __future__ import annotations

from vaelab.causes import checks
from vaelab.causes.changes import Set, frames_on_the_grid, outliers_only
from vaelab.causes.types import Cause, shows

DATA: tuple[Cause, ...] = (
    Cause(
        "A1",
        "wrong-input-range",
        "Inputs are not in the range the model and LPIPS expect",
        signature="The reconstruction loss of the very first line is off by a factor of 4 or of 10,000; the "
        "perceptual loss is high from line 1; outputs look washed out.",
        look_alikes=(
            (
                "B8",
                "a cold model scores about the variance of the data at step 0; here the batch itself has the wrong "
                "limits",
            ),
        ),
        test="Print the minimum and maximum of one training batch: they must be -1 and 1 (or what the trainer states).",
        advice="Normalise the batch to [-1, 1] and assert the range in the loader.",
        change=(Set("input_range", "-1,1"),),
        expected="The first line's reconstruction loss falls to the variance of the data or below, and the "
        "perceptual loss with it.",
        falsify="The batch already lies in [-1, 1] and fills it.",
        sources="lucidrains/magvit2-pytorch#7; pixeli99/SVD_Xtend#16; AntixK/PyTorch-VAE#48; AntixK/PyTorch-VAE#108",
        expects=shows(often="REC107 REC127 REC144"),
        decided_by="evaluate",
    ),
    Cause(
        "A2",
        "freak-samples",
        "A few corrupt or freak samples",
        signature="Isolated spikes of reconstruction, perceptual loss and gradient norm on the same step; all are "
        "back on the next step.",
        look_alikes=(
            ("E1", "a too high learning rate gives spikes that widen and do not return"),
            ("E11", "an optimizer shock decays slowly over many steps"),
        ),
        test="Log the sample ids of the spiking steps and look at those samples.",
        advice="Skip or repair the samples found; clip the gradient near the 90th percentile of its norm.",
        change=(Set("clip_grad", outliers_only),),
        expected="The spikes are gone at the same positions of the next epoch.",
        falsify="Spikes come back with those samples removed, or at other positions of the epoch.",
        sources="jy0205/Pyramid-Flow: trainer_misc/vae_ddp_trainer.py",
        expects=shows(
            often="MET1005:reconstruction DAT702 DAT701 DAT710",
            sometimes="REC142 MET1011 NUM501 NUM502 MET1002:reconstruction MET1002:perceptual MET1002:total",
            never="OPT404 KL206 REC116 DAT708 KL209 ADV309 ADV307 OPT405",
        ),
        check=checks.calm_until_not_finite,
    ),
    Cause(
        "A3",
        "looped-clips",
        "Short clips are repeated to fill the length",
        signature="The reconstruction loss is low and temporal errors look too good; nothing shows in the log.",
        look_alikes=(("B10", "frozen video: the output stands still although the input moves"),),
        test="Compare frame i with frame i + clip length in a few training samples: equal frames mean repetition.",
        advice="Drop clips that are shorter than the training length.",
        sources="jy0205/Pyramid-Flow: dataset/dataset_cls.py",
    ),
    Cause(
        "A4",
        "black-or-sparse-data",
        "Black, static or sparse data make every loss look good",
        signature="Reconstruction and perceptual losses are tiny after the first hundred steps and gradients are "
        "small.",
        look_alikes=(
            ("B11", "a model at its compression limit also stands still, but its skill 1 - MSE / variance is high"),
        ),
        test="Compute the variance of the data; skill = 1 - MSE / variance. Near 0 the model predicts the mean "
        "picture.",
        advice="Report skill and the PSNR of the foreground; weight or sample the foreground more; drop black clips.",
        expected="Losses rise to honest values and keep falling.",
        falsify="Skill is above 0.9 on held-out data.",
        sources="UNIC-Lab/RadioDiff: lib/loaders.py; microsoft/VidTok: corrupt clips become black ones",
        expects=shows(
            often="DAT708 DAT706",
            sometimes="DAT704 DAT702 DAT701 MET1002:reconstruction MET1002:total",
            never="OPT404 KL206 REC116",
        ),
    ),
    Cause(
        "A5",
        "data-change-at-epoch",
        "The data order or bucket changes at the start of an epoch",
        signature="All losses step exactly at iteration 0 of an epoch; d_weight does not.",
        look_alikes=(
            ("D5", "at a GAN start the discriminator's columns appear or g_loss becomes non-zero"),
            (
                "H4",
                "a resume also begins an epoch, but all weights were shaken: the loss returns within hundreds of steps",
            ),
        ),
        test="Check whether the step repeats at every epoch, and which files or buckets come first.",
        advice="Shuffle across epochs and buckets; log the bucket. Some trainers also reset their running means at an "
        "epoch.",
        expected="No step at the next epoch boundary.",
        falsify="The step is not at an epoch boundary, or the data order is the same.",
        sources="jy0205/Pyramid-Flow: trainer_misc/vae_ddp_trainer.py",
        expects=shows(
            often="DAT706 DAT701 REC142",
            sometimes="MET1002:reconstruction MET1002:total ADV305 MET1002:perceptual",
            never="OPT404 KL206 REC116 KL209 MET1002",
        ),
        check=checks.jumps_with_an_epoch,
    ),
    Cause(
        "A6",
        "split-leak",
        "Training and validation share samples",
        signature="Validation equals training for the whole run.",
        look_alikes=(("A7", "with real overfitting the two part"),),
        test="Intersect the two file lists.",
        advice="Split by source and not by index; check that the lists are disjoint at start-up.",
        sources="UNIC-Lab/RadioDiff: lib/loaders.py",
    ),
    Cause(
        "A7",
        "too-little-data",
        "Too little data: the autoencoder or the discriminator overfits",
        signature="Training reconstruction falls while validation rises; or the discriminator's gap is far larger on "
        "training data than on held-out data.",
        look_alikes=(("D4", "a discriminator that wins on real artefacts has the same gap on held-out data"),),
        test="Measure reconstruction and the discriminator's gap on held-out clips.",
        advice="More data; augmentation before the discriminator; LeCam; fewer steps.",
        expected="The two gaps close.",
        falsify="Held-out and training values are equal.",
        sources="lucidrains/phenaki-pytorch#29; dome272/MaskGIT-pytorch#3",
        expects=shows(
            often="DAT704 REC115",
            sometimes="DAT708 ADV305 REC117 MET1001:quality",
            never="DAT701 KL201",
        ),
        check=checks.held_out_parts,
        decided_by="evaluate",
    ),
    Cause(
        "A8",
        "frame-count-off-grid",
        "The number of frames does not fit the causal grid (4k + 1, 8k + 1)",
        signature="First frames are ghosts, or all frames equal the first.",
        look_alikes=(("E2", "under-training: later frames are as bad as the first ones"),),
        test="Reconstruct a clip of 1 + n x temporal compression frames: with a right count the ghost disappears.",
        advice="Pad or crop clips to 1 + n x temporal compression frames.",
        change=(Set("max_frames", frames_on_the_grid),),
        expected="The error of the first frames equals that of the rest.",
        falsify="The frame count is already on the grid.",
        sources="zai-org/CogVideo#102; Lightricks/LTX-Video-Trainer#3",
        expects=shows(often="REC128 REC122"),
    ),
    Cause(
        "A9",
        "image-ranks-not-printed",
        "Some ranks train on images and only rank 0 is printed",
        signature="The losses of one modality never appear; the log looks healthy.",
        look_alikes=(("H2", "the same printing habit without mixed ranks"),),
        test="Read which ranks get images, and which rank prints.",
        advice="Average over ranks and log per modality.",
        sources="jy0205/Pyramid-Flow: train/train_video_vae.py",
    ),
)
