"""What the comparisons with recorded values of training-free methods share: CLIPs and pictures by recipe, windows."""

from __future__ import annotations

import importlib.util

import numpy as np
import torch
import torch.nn.functional as F

from methods.clip.vit import attention_of
from tests.methods.conftest import GOLDEN

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def _recipe():
    spec = importlib.util.spec_from_file_location("recipe", GOLDEN / "recipe_training_free.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECIPE = _recipe()


def fill(module, salt, prefix=""):
    """Weights by recipe, from the names of the parameters, in float64."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name != "logit_scale":
                parameter.copy_(torch.from_numpy(RECIPE.fill(salt, prefix + name, tuple(parameter.shape))))
    return module.double().eval()


def make_filled(make_clip, salt, *, d, vision, text_width, text_layers, text_heads=1):
    """A CLIP by recipe."""
    text = {"context_length": 77, "vocab_size": 49408, "width": text_width, "heads": text_heads, "layers": text_layers}
    clip = make_clip(embed_dim=d, vision=vision, text_cfg=text)
    fill(clip.model, salt)
    return clip


def picture(salt, height, width, cell):
    """`(1, 3, H, W)` normalised pixels in float64."""
    return torch.from_numpy(RECIPE.picture(salt, height, width, cell)).double()


def close(ours, recorded, name=""):
    """Alike to 1e-9."""
    np.testing.assert_allclose(ours.detach().numpy(), recorded, **CLOSE, err_msg=name)


def upsampled(maps, size):
    """`(1, C, h, w)` to another size."""
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


def slid(method, x, text, slide, crop, stride, size):
    """Cosines averaged over windows, then brought to a picture's size: `(1, C, *size)`."""
    with torch.no_grad():
        canvas = slide.run(lambda w: upsampled(method.cosines(w, text)[None], w.shape[-2:]), x, crop, stride)
    return upsampled(canvas, size)


def labelled(logits, names, *, scale, threshold, area=None):
    """Class indices `(1, H, W)` as the released codes choose them: names to classes, small areas, weak pixels to 0."""
    probabilities = (logits * scale).softmax(1)
    owner = torch.tensor([i for i, line in enumerate(names) for _ in line])
    classes = torch.stack([probabilities[:, owner == i].amax(1) for i in range(len(names))], dim=1)
    if area is not None:
        counts = torch.bincount(classes.argmax(1).flatten(), minlength=len(names)).double()
        small = counts <= area * counts[1:].sum()
        small[0] = False
        classes = classes.masked_fill(small[:, None, None], 0)
    best, index = classes.max(1)
    return torch.where(best < threshold, 0, index)


def attention_output(method):
    """Record what leaves the last block's output projection, call by call: a list, and the hook that fills it."""
    found = []
    hook = attention_of(method.tower.blocks[-1]).out_proj.register_forward_hook(lambda m, i, o: found.append(o))
    return found, hook
