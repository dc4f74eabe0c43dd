"""What the methods that train a segmentation body share: training names, text embeddings, focal and dice losses."""

from __future__ import annotations

from torch import Tensor

from methods import losses
from methods.clip import Clip
from methods.method import Method, Vocabulary


class Student(Method):
    """A segmentation body taught by seen labels and a frozen CLIP.

    `text` is `(S, d)`, the embeddings of the training names. `watched` holds figures of the last step that are no
    losses, for people and plots.
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


def nel(
    logits: Tensor,
    labels: Tensor,
    *,
    focal_weight: float,
    dice_weight: float,
    alpha: float | None,
    gamma: float,
) -> dict[str, Tensor]:
    """ZegCLIP's non-exclusive loss, `focal` and `dice`, weighted, of logits `(B, C, H, W)` at the labels' size.

    Positions without a class are left out of both (reading). The released code of NEL's authors counts them as
    negatives of every class: where most of a picture is unlabelled, that fights every class there is.
    """
    count = losses.mask_count(losses.class_areas(labels, logits.shape[1]))
    focal = losses.focal_loss(logits, labels, count, alpha=alpha, gamma=gamma, ignored="left-out")
    dice = losses.dice_loss(logits, labels, count, ignored="left-out")
    return {"focal": focal_weight * focal, "dice": dice_weight * dice}
