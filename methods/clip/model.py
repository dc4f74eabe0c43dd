"""`Clip`: a frozen open_clip model as methods see it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from methods.clip.text_cache import prototypes_file, read_prototypes, write_prototypes
from methods.clip.towers import Tower, tower_of
from methods.clip.vit import Readout, Tokens, VitTower, resized, vit_refusal
from methods.interpolations import Interpolation
from methods.method import Images
from methods.precision import float32_products

OPENAI_MEAN = (122.7709383, 116.7460125, 104.09373615)  # open_clip's OPENAI_DATASET_MEAN times 255
OPENAI_STD = (68.5005327, 66.6321579, 70.32316305)


class Clip(nn.Module):
    """A frozen CLIP. Always in evaluation mode; no gradient reaches its parameters, gradients pass through it.

    Texts need no particular tower. `tokens` needs one with dense tokens (a vision transformer with a CLS token, CLIP's
    ResNets, a timm trunk with average pooling and a linear head), `vit` (for methods that reuse blocks) the first of
    them; both say why where there is none.
    """

    known_by_hash = True  # a checkpoint leaves it out: the record names its sha256
    model: Any  # open_clip.CLIP or CustomTextCLIP

    def __init__(
        self,
        *,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        embed_dim: int,
        name: str,
        architecture: str = "",
        weights_sha256: str | None = None,
        mean: Iterable[float] = OPENAI_MEAN,
        std: Iterable[float] = OPENAI_STD,
        text_cache: Path | None = None,
        remarks: tuple[str, ...] = (),
        best_readout: Readout = "value",
    ) -> None:
        """`mean` and `std` are on the scale 0..255. `weights_sha256` None: taken from the bytes of the state.

        architecture: the model's config as text; with the weights it keys the text cache (the same weights give other
        embeddings under another activation).
        remarks: what a reader of the numbers must know of it, such as what was assumed; that of its tower is added.
        best_readout: of the dense tokens, the one in which this CLIP knows most: MaskCLIP's value path for those that
        were trained on photos (Zhou et al. 2022, Section 3.1).
        """
        super().__init__()
        self.model = model.requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.architecture = architecture
        self.weights_sha256 = weights_sha256 or state_sha256(model)
        self.mean, self.std = tuple(mean), tuple(std)
        self.text_cache = text_cache
        self.best_readout: Readout = best_readout
        self.embed_dim = embed_dim
        self._tower = tower_of(self.model.visual, embed_dim=embed_dim)  # or why there is none
        of_tower = "" if isinstance(self._tower, str) else self._tower.remark
        self.remarks = (*remarks, f"CLIP {name}: {of_tower}") if of_tower else remarks
        self._prototypes: dict[tuple[str, tuple[str, ...]], Tensor] = {}  # (text, templates): (d,) fp32 on the CPU
        self._placed: dict[tuple[tuple[str, ...], tuple[str, ...], torch.device], Tensor] = {}  # (C, d) of one call
        self.eval()

    def train(self, mode: bool = True) -> Clip:
        """Stays in evaluation mode whatever the method around it does."""
        return super().train(False)

    def tower(self) -> Tower:
        """The image tower, which gives CLS and dense tokens; raises ValueError with the reason where it gives none."""
        if isinstance(self._tower, str):
            raise ValueError(f"{self.name}: {self._tower}")
        return self._tower

    def vit(self) -> VitTower:
        """The tower in pieces; raises ValueError with the reason where it is no such transformer."""
        if not isinstance(self._tower, VitTower):
            raise ValueError(f"{self.name}: {vit_refusal(self.model.visual)}")
        return self._tower

    def normalised(self, images: Images, *, size: tuple[int, int] | None = None) -> Tensor:
        """`(B, 3, H, W)` pixels by CLIP's mean and std, padding zero, resized to `size` where one is given."""
        x = images.normalised(self.mean, self.std)
        return x if size is None or tuple(x.shape[-2:]) == tuple(size) else resized(x, size)

    def tokens(
        self,
        images: Images,
        *,
        readout: Readout = "plain",
        size: tuple[int, int] | None = None,
        positions: Interpolation = "bilinear",
    ) -> Tokens:
        """CLS `(B, d)` and dense tokens `(B, d, h, w)` of one pass, projected into text space, not normalised.

        readout, positions: see the tower's `forward`; `best_readout` is the read-out to take for this CLIP. size:
        height and width to resize the pictures to first. No gradient.
        """
        tower = self.tower()
        with torch.no_grad():
            return tower(self.normalised(images, size=size), readout=readout, positions=positions)

    def text_prototypes(self, texts: Iterable[str], templates: Iterable[str]) -> Tensor:
        """`(C, d)` unit-norm fp32 class embeddings on the model's device.

        Each template's embedding is L2-normalised, their mean is normalised again (Radford et al. 2021, Section 3.1.4).
        Computed class by class, so that a prototype does not depend on the other classes; kept in memory, on the device
        too, and in files under `text_cache` where that is set. Not to be written to.
        """
        texts, templates = tuple(texts), tuple(templates)
        device = next(self.model.parameters()).device
        if (texts, templates, device) in self._placed:
            return self._placed[texts, templates, device]
        missing = [t for t in dict.fromkeys(texts) if (t, templates) not in self._prototypes]
        if missing:
            found = self._stored(missing, templates)
            self._prototypes.update({(t, templates): row for t, row in zip(missing, found, strict=True)})
        with torch.inference_mode(False):  # fit for training even if first needed in inference mode
            rows = torch.stack([self._prototypes[t, templates] for t in texts]).to(device)
        self._placed[texts, templates, device] = rows
        return rows

    def _stored(self, texts: list[str], templates: tuple[str, ...]) -> Tensor:
        """`(len(texts), d)` from the disk cache, or computed and put there."""
        if self.text_cache is None:
            return self._embedded(texts, templates)
        path = prototypes_file(self.text_cache, [self.weights_sha256, self.architecture], texts, templates)
        rows = read_prototypes(path, shape=(len(texts), self.embed_dim))
        if rows is None:
            rows = self._embedded(texts, templates)
            write_prototypes(path, rows)
        return rows

    def _embedded(self, texts: list[str], templates: tuple[str, ...]) -> Tensor:
        """`(len(texts), d)` in fp32 on the CPU, fit for training even if first computed in inference mode."""
        device = next(self.model.parameters()).device
        rows = []
        full = torch.autocast(device.type, enabled=False)  # what is kept serves every precision
        with torch.inference_mode(False), torch.no_grad(), full, float32_products():
            for text in texts:
                tokens = self.tokenizer([template.replace("{}", text) for template in templates]).to(device)
                embedded = nn.functional.normalize(self.model.encode_text(tokens).float(), dim=-1)  # (T, d)
                rows.append(nn.functional.normalize(embedded.mean(0), dim=-1))
        return torch.stack(rows).cpu()


def state_sha256(model: nn.Module) -> str:
    """sha256 over names, types, shapes and bytes of a state, for weights that come from no file."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return digest.hexdigest()
