"""Family A: the data."""

from __future__ import annotations

from vaelab.causes.types import Cause, Fix

DATA: tuple[Cause, ...] = (
    Cause(
        "A1",
        "wrong-input-range",
        "Inputs are not in the range the model and LPIPS expect",
        ("L", "P"),
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
        fix=Fix(
            "Normalise the batch to [-1, 1] and assert the range in the loader.",
            {"input_range": "set to -1,1 and normalise the data to it"},
        ),
        expected="The first line's reconstruction loss falls to the variance of the data or below, and the "
        "perceptual loss with it.",
        falsify="The batch already lies in [-1, 1] and fills it.",
        sources=(
            "lucidrains/magvit2-pytorch#7",
            "pixeli99/SVD_Xtend#16",
            "AntixK/PyTorch-VAE#48",
            "AntixK/PyTorch-VAE#108",
        ),
        predicts={"REC107": 5, "REC127": 5},
    ),
    Cause(
        "A2",
        "freak-samples",
        "A few corrupt or freak samples",
        ("L",),
        signature="Isolated spikes of reconstruction, perceptual loss and gradient norm on the same step; all are "
        "back on the next step.",
        look_alikes=(
            ("E1", "a too high learning rate gives spikes that widen and do not return"),
            ("E11", "an optimizer shock decays slowly over many steps"),
        ),
        test="Log the sample ids of the spiking steps and look at those samples.",
        fix=Fix(
            "Skip or repair the samples found; clip the gradient near the 90th percentile of its norm.",
            {"clip_grad": "set near the 90th percentile of grad_norm"},
        ),
        expected="The spikes are gone at the same positions of the next epoch.",
        falsify="Spikes come back with those samples removed, or at other positions of the epoch.",
        sources=("jy0205/Pyramid-Flow: trainer_misc/vae_ddp_trainer.py",),
        prior=2.0,
        predicts={
            "REC105": 2,
            "NUM503": 1.5,
            "DAT702": 2,
            "DAT701": 2.2,
            "REC104": 0.5,
            "DAT709": 0.7,
            "DAT710": 4,
        },
        excludes={
            "KL212": 2,
            "OPT404": 2,
            "KL206": 2,
            "REC116": 2,
            "DAT708": 3,
            "KL209": 3,
            "ADV309": 2,
            "ADV307": 2,
            "SCH604": 1,
        },
    ),
    Cause(
        "A3",
        "looped-clips",
        "Short clips are repeated to fill the length",
        ("P",),
        signature="The reconstruction loss is low and temporal errors look too good; nothing shows in the log.",
        look_alikes=(("B10", "frozen video: the output stands still although the input moves"),),
        test="Compare frame i with frame i + clip length in a few training samples: equal frames mean repetition.",
        fix=Fix("Drop clips that are shorter than the training length."),
        expected="The training loss rises a little and held-out motion improves.",
        falsify="No sample has repeated frames.",
        sources=("jy0205/Pyramid-Flow: dataset/dataset_cls.py",),
        prior=0.5,
    ),
    Cause(
        "A4",
        "black-or-sparse-data",
        "Black, static or sparse data make every loss look good",
        ("P",),
        signature="Reconstruction and perceptual losses are tiny after the first hundred steps and gradients are "
        "small.",
        look_alikes=(
            ("B11", "a model at its compression limit also stands still, but its skill 1 - MSE / variance is high"),
        ),
        test="Compute the variance of the data; skill = 1 - MSE / variance. Near 0 the model predicts the mean "
        "picture.",
        fix=Fix("Report skill and the PSNR of the foreground; weight or sample the foreground more; drop black clips."),
        expected="Losses rise to honest values and keep falling.",
        falsify="Skill is above 0.9 on held-out data.",
        sources=("UNIC-Lab/RadioDiff: lib/loaders.py", "microsoft/VidTok: corrupt clips become black ones"),
        predicts={
            "DAT707": 2.0,
            "DAT708": 4,
            "DAT706": 3.5,
            "DAT704": 2,
            "KL211": 1,
            "DAT702": 1,
            "DAT701": 1.8,
            "DAT709": 0.7,
            "REC104": 0.5,
        },
        excludes={"KL212": 2, "OPT404": 2, "KL206": 2, "REC116": 2},
    ),
    Cause(
        "A5",
        "data-change-at-epoch",
        "The data order or bucket changes at the start of an epoch",
        ("L",),
        signature="All losses step exactly at iteration 0 of an epoch; d_weight does not.",
        look_alikes=(
            ("D5", "at a GAN start the discriminator's columns appear or g_loss becomes non-zero"),
            (
                "H4",
                "a resume also begins an epoch, but all weights were shaken: the loss returns within hundreds of steps",
            ),
        ),
        test="Check whether the step repeats at every epoch, and which files or buckets come first.",
        fix=Fix(
            "Shuffle across epochs and buckets; log the bucket. Some trainers also reset their running means at an "
            "epoch."
        ),
        expected="No step at the next epoch boundary.",
        falsify="The step is not at an epoch boundary, or the data order is the same.",
        sources=("jy0205/Pyramid-Flow: trainer_misc/vae_ddp_trainer.py",),
        predicts={"MET1002": 0.5, "DAT706": 2, "DAT705": 2.5, "DAT701": 1.2, "REC104": 1, "ADV305": 0.3, "DAT709": 0.7},
        excludes={"KL212": 2, "OPT404": 2, "KL206": 2, "RES801": 2, "REC116": 2, "KL209": 2},
    ),
    Cause(
        "A6",
        "split-leak",
        "Training and validation share samples",
        ("C",),
        signature="Validation equals training for the whole run.",
        look_alikes=(("A7", "with real overfitting the two part"),),
        test="Intersect the two file lists.",
        fix=Fix("Split by source and not by index; check that the lists are disjoint at start-up."),
        expected="Validation is a little worse than training, and the gap grows with training.",
        falsify="The lists are disjoint, by content as well as by name.",
        sources=("UNIC-Lab/RadioDiff: lib/loaders.py",),
    ),
    Cause(
        "A7",
        "too-little-data",
        "Too little data: the autoencoder or the discriminator overfits",
        ("L", "P"),
        signature="Training reconstruction falls while validation rises; or the discriminator's gap is far larger on "
        "training data than on held-out data.",
        look_alikes=(("D4", "a discriminator that wins on real artefacts has the same gap on held-out data"),),
        test="Measure reconstruction and the discriminator's gap on held-out clips.",
        fix=Fix("More data; augmentation before the discriminator; LeCam; fewer steps."),
        expected="The two gaps close.",
        falsify="Held-out and training values are equal.",
        sources=("lucidrains/phenaki-pytorch#29", "dome272/MaskGIT-pytorch#3"),
        predicts={"DAT707": 2.0, "KL211": 0.5, "DAT704": 4.5, "DAT708": 4, "REC109": 4, "REC115": 4, "ADV305": 0.8},
        excludes={"DAT701": 1.5, "KL201": 2},
    ),
    Cause(
        "A8",
        "frame-count-off-grid",
        "The number of frames does not fit the causal grid (4k + 1, 8k + 1)",
        ("P",),
        signature="First frames are ghosts, or all frames equal the first.",
        look_alikes=(
            ("E2", "under-training: later frames are as bad as the first ones"),
            ("B10", "frozen video with a right frame count"),
        ),
        test="Reconstruct a clip of 1 + n x temporal compression frames: with a right count the ghost disappears.",
        fix=Fix(
            "Pad or crop clips to 1 + n x temporal compression frames.",
            {"max_frames": "1 + a multiple of the temporal compression"},
        ),
        expected="The error of the first frames equals that of the rest.",
        falsify="The frame count is already on the grid.",
        sources=("zai-org/CogVideo#102", "Lightricks/LTX-Video-Trainer#3"),
        predicts={"REC128": 3.5, "REC122": 2},
    ),
    Cause(
        "A9",
        "image-ranks-not-printed",
        "Some ranks train on images and only rank 0 is printed",
        ("C",),
        signature="The losses of one modality never appear; the log looks healthy.",
        look_alikes=(("H2", "the same printing habit without mixed ranks"),),
        test="Read which ranks get images, and which rank prints.",
        fix=Fix("Average over ranks and log per modality."),
        expected="One curve per modality.",
        falsify="All ranks get the same kind of data.",
        sources=("jy0205/Pyramid-Flow: train/train_video_vae.py",),
        prior=0.5,
    ),
)
