"""OTSeg's head: multi-prompts Sinkhorn on the queries, and ZegCLIP's decoder with transport plans as attention.

A map is P * N times the sum over the N texts of plan times cosine, so its values lie in [-N, N]; as attention a plan is
used as it is, its weights over all texts of a class and all patches summing to 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from methods.otseg.sinkhorn import transport_plan
from methods.precision import wide_product
from methods.zegclip.decoder import DecoderLayer, Head, MaskAttention, MaskDecoder


class Transport(NamedTuple):
    """Texts against patches."""

    similarity: Tensor  # (B, K, N, P) cosines
    plan: Tensor  # (B, K, N, P)

    @property
    def map(self) -> Tensor:
        """Mask logits `(B, K, P)`."""
        texts, patches = self.plan.shape[-2:]
        return patches * texts * (self.plan * self.similarity).sum(2)


class Maps(NamedTuple):
    """Mask logits `(B, K, h, w)`."""

    decoder: Tensor
    first: Tensor | None  # of the queries before the decoder; None where it is switched off


def transport(queries: Tensor, memory: Tensor, *, together: bool) -> Transport:
    """Queries `(B, K, N, d)` against patches `(B, P, d)`, by their cosines."""
    queries, memory = F.normalize(queries, dim=-1), F.normalize(memory, dim=-1)
    similarity = wide_product(queries.flatten(1, 2), memory.transpose(1, 2)).unflatten(1, queries.shape[1:3])
    return Transport(similarity, transport_plan(similarity, together=together))


class TransportAttention(MaskAttention):
    """Projected texts against projected patches: one head, cosines instead of scaled products."""

    def forward(self, queries: Tensor, memory: Tensor, *, together: bool = True) -> Transport:  # type: ignore[override]
        """`(B, K, N, d)` against `(B, P, d)`."""
        return transport(self.q(queries), self.k(memory), together=together)


class TransportLayer(DecoderLayer):
    """Texts of a class meet through the plan alone; classes never meet, but for the stop rule."""

    attention_type = TransportAttention

    def forward(  # type: ignore[override]
        self, queries: Tensor, memory: Tensor, *, together: bool = True
    ) -> tuple[Tensor, Transport]:
        """New queries `(B, K, N, d)` and the layer's plan."""
        found = self.attention(queries, memory, together=together)
        weights = found.plan.flatten(1, 2)[:, None]  # (B, 1, K*N, P)
        return self.refined(queries.flatten(1, 2), memory, weights).unflatten(1, queries.shape[1:3]), found


class TransportDecoder(MaskDecoder):
    """Maps of every layer; all but the last weigh the last one's down where they see nothing."""

    layer_type = TransportLayer

    def maps(self, queries: Tensor, memory: Tensor, *, together: bool = True) -> list[Tensor]:
        """`(B, K, P)` of every layer."""
        found = []
        for layer in self.layers:
            queries, transported = layer(queries, memory, together=together)
            found.append(transported.map)
        return [*found, self.last(queries, memory, together=together).map]


class Switches(NamedTuple):
    """What ablations leave out."""

    first_map: bool = True
    product: bool = True  # False: the map of the decoder's last layer alone


class OtHead(Head):
    """From tokens and texts to both mask maps."""

    decoder_type = TransportDecoder
    decoder: TransportDecoder
    switches = Switches()

    def prompt_queries(self, cls: Tensor, text: Tensor) -> Tensor:
        """`(B, K, N, d)` from CLS `(B, d)` and texts `(K, N, d)`: one linear layer for all of them."""
        return self.queries(cls, text.flatten(0, 1)).unflatten(1, text.shape[:2])

    def forward(self, cls: Tensor, dense: Tensor, text: Tensor, *, together: bool = True) -> Maps:  # type: ignore[override]
        """Both maps from CLS `(B, d)`, patches `(B, d, h, w)` and texts `(K, N, d)`, all of unit norm.

        together: see `methods.otseg.sinkhorn`.
        """
        if self.scale != 1:
            cls, dense, text = cls * self.scale, dense * self.scale, text * self.scale
        memory = dense.flatten(2).transpose(1, 2)  # (B, P, d)
        queries = self.prompt_queries(cls, text)
        *others, last = self.decoder.maps(queries, memory, together=together)
        if self.switches.product:
            for other in others:
                last = last * other.sigmoid() ** (1 / len(others))
        first = transport(queries, memory, together=together).map if self.switches.first_map else None
        grid = dense.shape[-2:]
        return Maps(last.unflatten(2, grid), None if first is None else first.unflatten(2, grid))
