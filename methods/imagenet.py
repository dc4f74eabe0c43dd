"""ImageNet's mean and standard deviation on the scale 0..255, as mmsegmentation and the released ZegCLIP have them."""

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
