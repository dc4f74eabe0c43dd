"""The segmentation bodies by name. No torch here: a plan can check a name without building anything."""

from typing import Literal

BodyName = Literal[
    "small",
    "segnext-t",
    "segnext-s",
    "segnext-b",
    "segnext-l",
    "segformer-b0",
    "segformer-b1",
    "segformer-b2",
    "segformer-b3",
    "segformer-b4",
    "segformer-b5",
    "deeplabv3plus-r50",
    "setr-pup",
    "swin-t",
    "swin-s",
    "swin-b",
]

# "local": statistics of each rank's own batch. "sync": of all ranks' (the published configs; needs GPUs where there is
# more than one rank). "fixed": the backbone keeps those of its ImageNet weights (mmsegmentation's norm_eval).
BatchNormMode = Literal["local", "sync", "fixed"]
