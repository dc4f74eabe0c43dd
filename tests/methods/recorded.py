"""What the comparisons with recorded values share: tolerances, labels, settings, released names.

Seven classes, of which 2 and 5 are unseen, so that seen ids are not contiguous.
"""

from __future__ import annotations

import numpy as np
import torch

from methods.method import UNSEEN_EXTENT
from methods.zegclip.released import released_name

SEEN = (0, 1, 3, 4, 6)
UNSEEN = (2, 5)
IS_SEEN = torch.tensor([i in SEEN for i in range(7)])
# float64: implementation equality; float32: what the recorded float32 run differs from float64, with some room.
TOLERANCE = {"f64": {"rtol": 1e-9, "atol": 1e-11}, "f32": {"rtol": 1e-4, "atol": 2e-5}}
SCORES = {"f64": TOLERANCE["f64"], "f32": {"rtol": 0, "atol": 1e-5}}
DTYPE = {"f64": torch.float64, "f32": torch.float32}
SETTINGS = [  # case, setting, labels
    ("inductive", "inductive", "labels"),
    ("inductive_edge", "inductive", "labels_edge"),
    ("self_training", "transductive-known-extent", "labels"),
    ("self_training_edge", "transductive-known-extent", "labels_edge"),
    ("fully", "fully-supervised", "labels"),
]


def close(ours, recorded, tolerance, name=""):
    """Both alike within a tolerance of numpy's."""
    np.testing.assert_allclose(ours.detach().numpy(), recorded, **tolerance, err_msg=name)


def self_training_labels(labels):
    """Unseen classes by the code that hides which."""
    return torch.where((labels == 2) | (labels == 5), UNSEEN_EXTENT, labels).to(torch.uint8)


def seen_only(labels):
    """Labels of the inductive setting: indices among the seen classes."""
    table = torch.full((256,), 255, dtype=torch.uint8)
    table[list(SEEN)] = torch.arange(len(SEEN), dtype=torch.uint8)
    return table[labels.long()]


def mapped(labels, setting):
    """Labels as a setting leaves them."""
    return {"i": seen_only, "t": self_training_labels, "f": lambda own: own}[setting[0]](labels)


def vocabulary_in(vocabulary, setting):
    """What a setting lets training name."""
    return vocabulary(5) if setting == "inductive" else vocabulary(7, () if setting[0] == "f" else UNSEEN)


def official_parameters(model):
    """Trained parameters by their released names."""
    names, layers = model.released_names(), model.config.decoder_layers
    return {released_name(n, layers, names): p for n, p in model.named_parameters() if p.requires_grad}


def load_tower(clip, state):
    """The recorded image tower into a CLIP of the recorded shape."""
    own = set(clip.model.visual.state_dict())
    tower = {k.removeprefix("backbone."): v for k, v in state.items() if k.removeprefix("backbone.") in own}
    clip.model.visual.load_state_dict(tower, strict=True)


def five_steps(model, step):
    """Terms of the loss before each of five AdamW steps and after the last."""
    groups = [{**g, "lr": 2e-4 * g.pop("lr_scale", 1)} for g in model.parameter_groups()]
    optimiser = torch.optim.AdamW(groups, lr=2e-4, weight_decay=0.01)
    for i in range(6):
        ours = step()
        yield ours
        if i < 5:
            optimiser.zero_grad()
            sum(ours.values()).backward()
            optimiser.step()
