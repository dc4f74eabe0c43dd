"""timm transformers as a tower: what trunk and head make of each token alone gives the dense tokens.

SigLIP and SigLIP2, Perception Encoder, EVA, MobileCLIP-B, ViTamin: they read out a CLS token, average their tokens, or
pool them by attention. A token alone is a sequence of one: pooled and projected by the model's own modules it is in the
space of texts. Where nothing but linear layers follows an average, the mean of the dense tokens is CLS; where a norm or
an attention pool does, it is not: our reading.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.clip.vit import Readout, Tokens, fitted, one_size, resized
from methods.interpolations import Interpolation


class TokenTower(nn.Module):
    """A frozen `TimmModel` of open_clip around a transformer, its modules used as they are.

    Sides that are no multiple of the patch are first resized (bilinear) to the nearest multiple. Position tables are
    resampled by timm, bicubic with antialiasing; trunks that cannot get every picture in their own size.
    """

    known_by_hash = True  # a checkpoint leaves it out: the record names its sha256
    visual: Any  # open_clip.timm_model.TimmModel

    def __init__(self, visual: nn.Module, *, embed_dim: int) -> None:
        super().__init__()
        reason = token_refusal(visual)
        if reason is not None:
            raise ValueError(reason)
        self.visual = visual
        self.embed_dim = embed_dim
        trunk = self.visual.trunk
        self.patch_size: int = int(trunk.patch_embed.feat_ratio())
        self.only_size = None if _takes_any_size(trunk) else tuple(self.visual.image_size)
        self.remark = _of_positions(trunk) if self.only_size is None else one_size(self.only_size)

    def forward(self, x: Tensor, *, readout: Readout = "plain", positions: Interpolation = "bilinear") -> Tokens:
        """CLS and dense tokens of normalised pixels `(B, 3, H, W)` in one pass; CLS is the model's own in both.

        readout "plain": each token of the last block, pooled and projected alone. "value": with an attention pool its
        values and output projection alone, without norm and MLP (TextRegion, Xiao et al. 2025); else the last block
        with each token attending to itself alone (MaskCLIP, Zhou et al. 2022, Section 3.2). positions: these trunks
        resample their tables by timm's own rule, whatever is asked.
        """
        x = fitted(x, self.patch_size) if self.only_size is None else resized(x, self.only_size)
        h, w = (side // self.patch_size for side in x.shape[-2:])
        trunk = self.visual.trunk
        tokens, entering = self._passed(x, (h, w))
        cls = self.visual.head(trunk.forward_head(tokens))
        first = trunk.num_prefix_tokens
        if readout == "plain":
            dense = read_out(self.visual, tokens[:, first:])
        elif getattr(trunk, "attn_pool", None) is not None:
            dense = pool_values(self.visual, tokens[:, first:])
        else:
            dense = read_out(self.visual, self._alone(entering[:, first:]))
        return Tokens(cls, dense.transpose(1, 2).unflatten(2, (h, w)))

    def _passed(self, x: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Tokens `(B, T, D)` after the last block and norm, and those that enter the last block."""
        entering: list[Tensor] = []
        trunk = self.visual.trunk
        turns = getattr(trunk, "rope", None)  # rotary positions are kept for one grid
        if not hasattr(turns, "update_feat_shape"):
            turns = None
        if turns is not None:
            turns.update_feat_shape(list(grid))
        hook = trunk.blocks[-1].register_forward_pre_hook(lambda _, arguments: entering.append(arguments[0]))
        try:
            return trunk.forward_features(x), entering[0]
        finally:
            hook.remove()
            if turns is not None:
                turns.update_feat_shape(list(trunk.patch_embed.grid_size))  # as it was found

    def _alone(self, tokens: Tensor) -> Tensor:
        """`(B, N, D)` after the last block, as sequences of one token (values have no position), and after the norm."""
        trunk, size = self.visual.trunk, tokens.shape[:2]
        return trunk.norm(trunk.blocks[-1](tokens.flatten(0, 1)[:, None])).view(*size, -1)


def read_out(visual: Any, tokens: Tensor) -> Tensor:
    """`(B, N, D)` to `(B, N, d)`: what pooling and head make of each token as the only one."""
    single = tokens.flatten(0, 1)[:, None]  # (B N, 1, D)
    left_out = visual.trunk.num_prefix_tokens if _leaves_prefix_out(visual.trunk) else 0
    if left_out:
        single = torch.cat([single.new_zeros(len(single), left_out, single.shape[-1]), single], dim=1)
    return visual.head(visual.trunk.forward_head(single)).view(*tokens.shape[:2], -1)


def pool_values(visual: Any, tokens: Tensor) -> Tensor:
    """`(B, N, D)` to `(B, N, d)`: values and output projection of an attention pool, token by token, and the head."""
    pool, trunk = visual.trunk.attn_pool, visual.trunk
    rows = slice(tokens.shape[-1], None)  # keys come first
    values = F.linear(tokens, pool.kv.weight[rows], None if pool.kv.bias is None else pool.kv.bias[rows])
    return visual.head(trunk.head(trunk.fc_norm(pool.proj(values))))


def token_refusal(visual: Any) -> str | None:
    """Why a tower gives no dense tokens as a transformer of timm, or None where it does."""
    trunk, kind = visual.trunk, type(visual.trunk).__name__
    if not hasattr(trunk, "blocks") or not hasattr(trunk, "num_prefix_tokens"):
        return f"dense tokens need the tokens of a transformer; the {kind} of this model keeps none"
    if not hasattr(getattr(trunk, "patch_embed", None), "feat_ratio"):
        return f"the {kind} of this model does not say where in the picture its tokens lie"
    if getattr(trunk, "shared_rel_pos", None) is not None or hasattr(_attention(trunk), "rel_pos"):
        return f"the {kind} of this model has positions between pairs of tokens, of one size of pictures"
    return None


def _attention(trunk: Any) -> Any:
    return getattr(trunk.blocks[-1], "attn", None)


def _leaves_prefix_out(trunk: Any) -> bool:
    """Does its pooling pass over CLS and registers?"""
    if trunk.global_pool == "token" or not trunk.num_prefix_tokens:
        return False
    if getattr(trunk, "attn_pool", None) is not None and not hasattr(trunk, "pool_include_prefix"):
        return False  # Eva pools over all of them
    return not getattr(trunk, "pool_include_prefix", False)


def _of_positions(trunk: Any) -> str:
    """What is done to a table of positions whatever a method asks; empty where there is none (rotary ones)."""
    if getattr(trunk, "pos_embed", None) is None:
        return ""
    return "its image positions go to other grids by timm's rule (bicubic, antialiased), whatever `positions` says"


def _takes_any_size(trunk: Any) -> bool:
    """Let a trunk take any multiple of its patch, where timm can; at the native size nothing changes."""
    embedding = trunk.patch_embed
    if not hasattr(trunk, "dynamic_img_size") or not all(
        hasattr(embedding, name) for name in ("strict_img_size", "flatten", "output_fmt")
    ):
        return False
    trunk.dynamic_img_size = True
    embedding.strict_img_size, embedding.flatten, embedding.output_fmt = (
        False,
        False,
        type(embedding.output_fmt)("NHWC"),
    )
    return True
