"""A residual linear layer on CLIP's frozen dense tokens, trained with cross-entropy on the seen classes."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate, normalize

from methods.config import MethodConfig
from methods.method import FIRST_CODE, Method
from methods.method_entry import MethodEntry


class AdapterConfig(MethodConfig):
    """Each field can be set on the command line: --set adapter.scale=10."""

    scale: float = 20.0  # of a cosine, before the softmax


class Adapter(Method):
    """Scores are scaled cosines of adapted tokens and text."""

    seen_shift = 0.5  # taken off the scores of seen classes at test
    shift_span = 10.0  # half the range of shifts that the tables look at

    def __init__(self, *, clip, vocabulary, config):
        super().__init__()
        self.clip, self.vocabulary, self.scale = clip, vocabulary, config.scale  # the seen classes alone
        self.adapter = nn.Linear(clip.embed_dim, clip.embed_dim, bias=False)
        nn.init.zeros_(self.adapter.weight)

    def losses(self, images, labels, *, progress):
        """labels (B, H, W): 0.. a seen class; from FIRST_CODE on nobody says what is there."""
        scores = interpolate(self.scores(images, self.vocabulary), labels.shape[-2:], mode="bilinear")
        known = labels < FIRST_CODE
        target = labels.long().masked_fill(~known, -100)
        return {"ce": cross_entropy(scores, target, reduction="sum") / known.sum().clamp(min=1)}

    def scores(self, images, vocabulary):
        """(B, classes, h, w), for any class names."""
        dense = self.clip.tokens(images, readout=self.clip.best_readout).dense  # (B, d, h, w)
        adapted = dense + torch.einsum("ed,bdhw->behw", self.adapter.weight, dense)
        text = self.clip.text_prototypes(vocabulary.texts, vocabulary.templates)
        return self.scale * torch.einsum("cd,bdhw->bchw", text, normalize(adapted, dim=1))


METHODS = {
    "adapter": MethodEntry(
        title="a linear layer on frozen dense tokens",
        config=f"{__name__}:AdapterConfig",
        builder=f"{__name__}:Adapter",
        fidelity="an example",
        needs="tokens",
        recipe={"iterations": 100, "lr": 1e-3},  # the rest as for ZegCLIP on the same benchmark
    )
}
