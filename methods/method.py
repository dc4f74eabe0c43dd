"""What a zero-shot segmentor is to the harness: the one interface between `benchmarks` and `methods`.

A method learns from labels of seen classes and then scores any classes. It knows nothing of folders, clusters
or tables. Labels reach it as a uint8 map: `0..S-1` a seen class in the order of the training vocabulary, and the
codes of `methods.label_codes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from methods.label_codes import FIRST_CODE, UNLABELLED, UNSEEN_EXTENT, VOID
from methods.weight_file import precision_words, read_tensors, refuse_not_finite, unprefixed
from methods.weight_fit import misfit

__all__ = ["FIRST_CODE", "UNLABELLED", "UNSEEN_EXTENT", "VOID", "Images", "Method", "Vocabulary"]


@dataclass(frozen=True)
class Vocabulary:
    """The classes that a method scores, in order.

    In the inductive setting the training vocabulary holds the seen classes alone; at test it may hold any names.
    """

    names: tuple[str, ...]
    seen: tuple[bool, ...]  # was the class labelled in training?
    texts: tuple[str, ...]  # the words put into the templates, one per class (often the name itself)
    templates: tuple[str, ...]  # e.g. "a photo of a {}."

    def __post_init__(self) -> None:
        if not self.names or not len(self.names) == len(self.seen) == len(self.texts):
            raise ValueError(
                f"a vocabulary needs as many names, seen flags and texts, at least one: got {len(self.names)} names, "
                f"{len(self.seen)} flags, {len(self.texts)} texts"
            )
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"a vocabulary's names must differ from one another: got {self.names}")
        if not self.templates or any("{}" not in template for template in self.templates):
            raise ValueError(
                f"each template needs one '{{}}' for the class, and at least one template: {self.templates}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def seen_mask(self, device: torch.device | str = "cpu") -> Tensor:
        """`(C,)` bool: which classes were labelled in training."""
        return torch.tensor(self.seen, dtype=torch.bool, device=device)


@dataclass(eq=False)  # not frozen: Fabric walks through the arguments of `losses` and refuses frozen dataclasses
class Images:
    """A batch of RGB pictures as bytes; every part of a method normalises them for itself."""

    pixels: Tensor  # (B, 3, H, W) uint8
    sizes: Tensor | None = None  # (B, 2) height and width of the real picture, the rest is padding; None: no padding

    def __len__(self) -> int:
        return self.pixels.shape[0]

    def valid(self) -> Tensor:
        """`(B, H, W)` bool: False where a position is padding."""
        b, _, h, w = self.pixels.shape
        if self.sizes is None:
            return torch.ones(b, h, w, dtype=torch.bool, device=self.pixels.device)
        rows = torch.arange(h, device=self.pixels.device)[None, :, None] < self.sizes[:, 0, None, None]
        columns = torch.arange(w, device=self.pixels.device)[None, None, :] < self.sizes[:, 1, None, None]
        return rows & columns

    def normalised(self, mean: Iterable[float], std: Iterable[float], dtype: torch.dtype = torch.float32) -> Tensor:
        """`(B, 3, H, W)`: `(pixels - mean) / std` on the scale 0..255, padding set to zero after that."""
        shift, scale = (
            torch.stack([torch.full((1, 1), value, dtype=dtype, device=self.pixels.device) for value in values])
            for values in (mean, std)  # filled there: a GPU would wait for three numbers of the CPU
        )
        out = (self.pixels.to(dtype) - shift) / scale
        return out if self.sizes is None else out * self.valid()[:, None]

    def to(self, device: torch.device | str) -> Images:
        """The same batch on another device."""
        return Images(self.pixels.to(device), None if self.sizes is None else self.sizes.to(device))


class Method(nn.Module):
    """A zero-shot segmentor. It learns from labels of seen classes and scores any classes.

    Class attributes a method may set:
      seen_shift: what `activate` takes off the scores of seen classes (calibrated stacking); 0 for none.
      shift_span: half the width of the sweep of seen-score shifts, in the units of the activated scores.
      vocabulary_chunkable: False where the scores of one class depend on the other classes of the vocabulary.
      published_parameters: trainable parameters as the authors count them; None where they published no count.
      inference_parameters: how many parameters run at test; None where that is all it holds.
      watched: scalar figures of the last step that are no losses: logged and stored beside them, never added up.
    """

    seen_shift: float = 0.0
    shift_span: float = 1.0
    vocabulary_chunkable: bool = True
    published_parameters: int | None = None
    inference_parameters: int | None = None
    watched: Mapping[str, Tensor] = MappingProxyType({})

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """The named losses of one training step, each already weighted; the trainer adds them up.

        labels: `(B, H, W)` uint8 with the codes of `methods.label_codes`. progress: share of the training done, in
        [0, 1]. A method without anything to train may learn here by other means (counting) and return no loss.
        Whatever is random here must draw from torch's generators: they alone are seeded anew for each step.
        """
        raise NotImplementedError

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """`(B, len(vocabulary), h, w)` on the method's grid, before `activate`."""
        raise NotImplementedError

    def activate(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Pointwise, at window resolution, for any chunk of the classes: sigmoid, seen-score shift.

        scores: `(B, c, H, W)`; seen: `(c,)` bool. Same shape out.
        """
        return scores if self.seen_shift == 0 else scores - self.seen_shift * seen.to(scores)[:, None, None]

    def parameter_groups(self) -> list[dict]:
        """Groups for the optimiser: everything that trains, once. `lr_scale` (default 1) multiplies the rate."""
        trained = [p for p in self.parameters() if p.requires_grad]
        return [{"params": trained}] if trained else []

    def trained_state(self) -> dict[str, Tensor]:
        """What training changed: parameters with gradient and persistent buffers.

        Left out is what a sha256 in the record identifies: frozen parameters, and the buffers of every sub-module that
        sets `known_by_hash = True` (the CLIP wrapper does).
        """
        parameters = dict(self.named_parameters(remove_duplicate=False))  # a frozen part may be reached by two names
        known = tuple(
            f"{name}."
            for name, module in self.named_modules(remove_duplicate=False)
            if name and getattr(module, "known_by_hash", False)
        )
        return {
            name: value
            for name, value in self.state_dict().items()
            if (parameters[name].requires_grad if name in parameters else not name.startswith(known))
        }

    def import_weights(self, path: Path) -> tuple[str, ...]:
        """Load weights from a file: the tensors of a finished run. Methods may know further forms.

        Returns what a reader of the numbers must know of them. Raises OSError or ValueError with one line.
        """
        return self.load_named(read_tensors(path), str(path))

    def load_named(self, state: dict[str, Tensor], source: str) -> tuple[str, ...]:
        """Load tensors under our names, or these with prefixes of trainers; returns and raises as `import_weights`."""
        if state.keys() != self.trained_state().keys():
            state = unprefixed(state)
        refuse_not_finite(state, source)
        try:
            self.load_trained_state(state)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
        return tuple(filter(None, [precision_words(state)]))

    def load_trained_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of `trained_state`; raises ValueError naming what is missing, extra or of another shape."""
        ours = self.trained_state()
        if wrong := misfit(ours, state):
            another = 2 * len(wrong.misshapen) > len(ours)
            hint = "; they are likely of another CLIP: give that by --clip" if another else ""
            raise ValueError(f"{len(state)} tensors do not fit the method: {wrong.words()}{hint}")
        with torch.no_grad():
            for name, value in state.items():
                ours[name].copy_(value)
