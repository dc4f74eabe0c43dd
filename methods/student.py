"""What the methods that train a segmentation body share: training names, text embeddings and cosine scores."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from methods.clip import Clip
from methods.method import Method, Vocabulary
from methods.precision import wide_product


class Student(Method):
    """A segmentation body taught by seen labels and a frozen CLIP.

    `text` is `(S, d)`, the embeddings of the training names. `watched` holds figures of the last step that are no
    losses.
    """

    text: Tensor

    def __init__(self, *, clip: Clip, vocabulary: Vocabulary, seen_shift: float, scale: float) -> None:
        """scale: of the cosines with the texts; shifts of the seen scores are tried up to half of it.

        Raises ValueError where the vocabulary holds a name that is not seen: these methods are inductive.
        """
        super().__init__()
        if unseen := [name for name, seen in zip(vocabulary.names, vocabulary.seen, strict=True) if not seen]:
            raise ValueError(f"this method is inductive: it trains on labelled classes alone, not on {unseen}")
        self.clip = clip
        self.seen_shift = seen_shift
        self.shift_span = 0.5 * scale
        self.watched: dict[str, Tensor] = {}
        self.register_buffer("text", self.prototypes(vocabulary), persistent=False)

    def prototypes(self, vocabulary: Vocabulary) -> Tensor:
        """`(C, d)` unit-norm text embeddings."""
        return self.clip.text_prototypes(vocabulary.texts, vocabulary.templates)


def cosines(features: Tensor, weights: Tensor) -> Tensor:
    """Features `(B, d, h, w)`, brought to unit norm, times weights `(C, d)` or `(B, C, d)`: `(B, C, h, w)`."""
    return products(F.normalize(features, dim=1), weights)


def products(features: Tensor, weights: Tensor) -> Tensor:
    """Features `(B, d, h, w)`, as they are, times weights `(C, d)` or `(B, C, d)`: `(B, C, h, w)`."""
    return wide_product(weights, features.flatten(2)).unflatten(2, features.shape[-2:])
