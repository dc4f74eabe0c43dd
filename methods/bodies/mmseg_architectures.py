"""mmsegmentation's published segmentors as data: backbone, decode head, optimiser rules, ImageNet weights.

The arguments are those of the configs that come with mmsegmentation 1.x, named beside each (auxiliary heads left out).
Where ours differ, a comment says so. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from methods.bodies.paramwise import Paramwise

ASSETS = "https://mmassets.onedl.ai"  # as the configs of onedl-mmsegmentation 1.4 name them
PRETRAINED = f"{ASSETS}/mmsegmentation/v0.5/pretrain"


@dataclass(frozen=True)
class Architecture:
    """One published segmentor without its classifier."""

    backbone: dict[str, Any]  # mmsegmentation's own arguments
    decode_head: dict[str, Any]  # the same, without the number of classes
    stride: int  # pixels per position of the head's output
    paramwise: Paramwise
    weights: str  # URL of the ImageNet weights that the config names; "" where it names a file only


NORM_AND_HEAD = Paramwise(lr_scale={"head": 10.0}, no_decay=("pos_block", "norm"))
SWIN_RULES = Paramwise(no_decay=("absolute_pos_embed", "relative_position_bias_table", "norm"))
HEAD_ONLY = Paramwise(lr_scale={"head": 10.0})
BATCH_NORM = {"type": "BN", "requires_grad": True}  # SyncBN in the configs: `build_body` makes it that for "sync"
GROUP_NORM = {"type": "GN", "num_groups": 32, "requires_grad": True}


def _segnext(
    widths: tuple[int, ...], depths: tuple[int, ...], *, head: int, file: str, drop_path: float = 0.1
) -> Architecture:
    """configs/segnext/segnext_mscan-*_1xb16-adamw-160k_ade20k-512x512.py."""
    return Architecture(
        backbone={
            "type": "MSCAN",
            "embed_dims": list(widths),
            "mlp_ratios": [8, 8, 4, 4],
            "drop_rate": 0.0,
            "drop_path_rate": drop_path,
            "depths": list(depths),
            "attention_kernel_sizes": [5, [1, 7], [1, 11], [1, 21]],
            "attention_kernel_paddings": [2, [0, 3], [0, 5], [0, 10]],
            "act_cfg": {"type": "GELU"},
            "norm_cfg": BATCH_NORM,
        },
        decode_head={
            "type": "LightHamHead",
            "in_channels": list(widths[1:]),
            "in_index": [1, 2, 3],
            "channels": head,
            "ham_channels": head,
            "dropout_ratio": 0.1,
            "norm_cfg": GROUP_NORM,
            "align_corners": False,
            "ham_kwargs": {
                "MD_S": 1,
                "MD_R": 16,
                "train_steps": 6,
                "eval_steps": 7,
                "inv_t": 100,
                "rand_init": True,
            },
        },
        stride=8,
        paramwise=NORM_AND_HEAD,
        weights=f"{PRETRAINED}/segnext/{file}",
    )


def _segformer(width: int, layers: tuple[int, ...], *, file: str) -> Architecture:
    """configs/segformer/segformer_mit-*_8xb2-160k_ade20k-512x512.py."""
    return Architecture(
        backbone={
            "type": "MixVisionTransformer",
            "in_channels": 3,
            "embed_dims": width,
            "num_stages": 4,
            "num_layers": list(layers),
            "num_heads": [1, 2, 5, 8],
            "patch_sizes": [7, 3, 3, 3],
            "sr_ratios": [8, 4, 2, 1],
            "out_indices": (0, 1, 2, 3),
            "mlp_ratio": 4,
            "qkv_bias": True,
            "drop_rate": 0.0,
            "attn_drop_rate": 0.0,
            "drop_path_rate": 0.1,
        },
        decode_head={
            "type": "SegformerHead",
            "in_channels": [width, 2 * width, 5 * width, 8 * width],
            "in_index": [0, 1, 2, 3],
            "channels": 256,
            "dropout_ratio": 0.1,
            "norm_cfg": BATCH_NORM,
            "align_corners": False,
        },
        stride=4,
        paramwise=NORM_AND_HEAD,
        weights=f"{PRETRAINED}/segformer/{file}",
    )


def _swin(width: int, depths: tuple[int, ...], heads: tuple[int, ...], *, file: str) -> Architecture:
    """configs/swin/swin-*-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py."""
    return Architecture(
        backbone={
            "type": "SwinTransformer",
            "pretrain_img_size": 224,
            "embed_dims": width,
            "patch_size": 4,
            "window_size": 7,
            "mlp_ratio": 4,
            "depths": list(depths),
            "num_heads": list(heads),
            "strides": (4, 2, 2, 2),
            "out_indices": (0, 1, 2, 3),
            "qkv_bias": True,
            "qk_scale": None,
            "patch_norm": True,
            "drop_rate": 0.0,
            "attn_drop_rate": 0.0,
            "drop_path_rate": 0.3,
            "use_abs_pos_embed": False,
            "act_cfg": {"type": "GELU"},
            "norm_cfg": {"type": "LN", "requires_grad": True},
        },
        decode_head={
            "type": "UPerHead",
            "in_channels": [width, 2 * width, 4 * width, 8 * width],
            "in_index": [0, 1, 2, 3],
            "pool_scales": (1, 2, 3, 6),
            "channels": 512,
            "dropout_ratio": 0.1,
            "norm_cfg": BATCH_NORM,
            "align_corners": False,
        },
        stride=4,
        paramwise=SWIN_RULES,
        weights=f"{PRETRAINED}/swin/{file}",
    )


DEEPLABV3PLUS_R50 = Architecture(  # configs/deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512.py
    backbone={
        "type": "ResNetV1c",
        "depth": 50,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "dilations": (1, 1, 2, 4),
        "strides": (1, 2, 1, 1),
        "norm_cfg": BATCH_NORM,
        "norm_eval": False,
        "style": "pytorch",
        "contract_dilation": True,
    },
    decode_head={
        "type": "DepthwiseSeparableASPPHead",
        "in_channels": 2048,
        "in_index": 3,
        "channels": 512,
        "dilations": (1, 12, 24, 36),
        "c1_in_channels": 256,
        "c1_channels": 48,
        "dropout_ratio": 0.1,
        "norm_cfg": BATCH_NORM,
        "align_corners": False,
    },
    stride=4,
    paramwise=Paramwise(),  # its config trains by SGD without rules
    weights=f"{ASSETS}/pretrain/third_party/resnet50_v1c-2cccc1ad.pth",
)

SETR_PUP = Architecture(  # configs/setr/setr_vit-l_pup_8xb2-160k_ade20k-512x512.py
    backbone={
        "type": "VisionTransformer",
        "img_size": (512, 512),
        "patch_size": 16,
        "in_channels": 3,
        "embed_dims": 1024,
        "num_layers": 24,
        "num_heads": 16,
        "out_indices": (9, 14, 19, 23),
        "drop_rate": 0.0,
        "norm_cfg": {"type": "LN", "eps": 1e-6, "requires_grad": True},
        "with_cls_token": True,
        "interpolate_mode": "bilinear",
        "patch_bias": True,  # the weights have this bias; the config leaves it to a default that now drops it
    },
    decode_head={
        "type": "SETRUPHead",
        "in_channels": 1024,
        "channels": 256,
        "in_index": 3,
        "dropout_ratio": 0,
        "norm_cfg": BATCH_NORM,
        "num_convs": 4,
        "up_scale": 2,
        "kernel_size": 3,
        "align_corners": False,
    },
    stride=1,  # four times x2 from stride 16
    paramwise=HEAD_ONLY,
    weights="",  # timm's jx_vit_large_p16_384-b3be5167.pth, by hand
)

PUBLISHED: dict[str, Architecture] = {
    "segnext-t": _segnext((32, 64, 160, 256), (3, 3, 5, 2), head=256, file="mscan_t_20230227-119e8c9f.pth"),
    "segnext-s": _segnext((64, 128, 320, 512), (2, 2, 4, 2), head=256, file="mscan_s_20230227-f33ccdf2.pth"),
    "segnext-b": _segnext((64, 128, 320, 512), (3, 3, 12, 3), head=512, file="mscan_b_20230227-3ab7d230.pth"),
    "segnext-l": _segnext(
        (64, 128, 320, 512), (3, 5, 27, 3), head=1024, drop_path=0.3, file="mscan_l_20230227-cef260d4.pth"
    ),
    "segformer-b0": _segformer(32, (2, 2, 2, 2), file="mit_b0_20220624-7e0fe6dd.pth"),
    "segformer-b1": _segformer(64, (2, 2, 2, 2), file="mit_b1_20220624-02e5a6a1.pth"),
    "segformer-b2": _segformer(64, (3, 4, 6, 3), file="mit_b2_20220624-66e8bf70.pth"),
    "segformer-b3": _segformer(64, (3, 4, 18, 3), file="mit_b3_20220624-13b1141c.pth"),
    "segformer-b4": _segformer(64, (3, 8, 27, 3), file="mit_b4_20220624-d588d980.pth"),
    "segformer-b5": _segformer(64, (3, 6, 40, 3), file="mit_b5_20220624-658746d9.pth"),
    "deeplabv3plus-r50": DEEPLABV3PLUS_R50,
    "setr-pup": SETR_PUP,
    "swin-t": _swin(96, (2, 2, 6, 2), (3, 6, 12, 24), file="swin_tiny_patch4_window7_224_20220317-1cdeb081.pth"),
    "swin-s": _swin(96, (2, 2, 18, 2), (3, 6, 12, 24), file="swin_small_patch4_window7_224_20220317-7ba6d6dd.pth"),
    "swin-b": _swin(128, (2, 2, 18, 2), (4, 8, 16, 32), file="swin_base_patch4_window7_224_20220317-e9b98025.pth"),
}
