#!/bin/bash
# options of Pyramid-Flow's VAE trainer as its launch script sets them, both stages shortened
GPUS=8
ANNOTATIONS=annotation   # folder of the JSON lines
OUT=${RUN_DIR:-runs}/vae
SIZE=256

export NUM_FRAMES=17
BATCH=2

# stage 1: images and clips
torchrun --nproc_per_node $GPUS \
    train/train_video_vae.py \
    --model_path ckpt/vae --model_dtype bf16 \
    --lpips_ckpt "vgg_lpips.pth" \
    --output_dir $OUT \
    --image_anno $ANNOTATIONS/images.jsonl \
    --video_anno $ANNOTATIONS/videos.jsonl \
    --use_image_video_mixed_training --image_mix_ratio 0.1 \
    --resolution $SIZE --max_frames ${NUM_FRAMES} \
    --disc_start 250000 \
    --kl_weight 1e-12 --pixelloss_weight 10.0 \
    --perceptual_weight 1.0 --disc_weight 0.5 \
    --batch_size $BATCH \
    --opt adamw --opt_betas 0.9 0.95 \
    --seed 42 --weight_decay 1e-3 --clip_grad 1.0 \
    --lr 1e-4 --lr_disc 1e-4 \
    --warmup_epochs 1 --epochs 100 --iters_per_epoch 2000 \
    --ema_update --warmup_lr 1e-6 --colour_jitter 0.1 \
    --print_freq 40 --save_ckpt_freq 1

# stage 2: longer clips
torchrun --nproc_per_node $GPUS train/train_video_vae.py --use_context_parallel --context_size 2 --max_frames 33
