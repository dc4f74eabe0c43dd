"""Deterministic fillings shared by the official model and any re-implementation (numpy only).

Every parameter is filled from its OFFICIAL name, so a re-implementation maps its own name to the
official one (see README.md table) and calls fill_param(official_name, shape).
numpy.random.RandomState (legacy MT19937) streams are frozen by numpy's policy, so the values are
the same on every machine.
"""

import zlib

import numpy as np


def _rs(*key):
    return np.random.RandomState(zlib.crc32("|".join(str(k) for k in key).encode()) & 0xFFFFFFFF)


def fill_param(name, shape):
    """float32 array for the parameter `name` (official ZegCLIP name, with backbone./decode_head.)."""
    shape = tuple(int(s) for s in shape)
    z = _rs("param", name).standard_normal(shape)
    last = name.rsplit(".", 1)[-1]
    is_norm = any(
        t in name for t in ("ln_pre", "ln_post", "ln_1", "ln_2", "prompt_norm", ".norm1.", ".norm2.", ".norm3.")
    )
    if is_norm:
        out = 1.0 + 0.1 * z if last == "weight" else 0.1 * z
    elif last in ("bias", "in_proj_bias"):
        out = 0.05 * z
    elif last in ("class_embedding", "positional_embedding"):
        out = 0.3 * z
    elif last in ("prompt_embeddings", "deep_prompt_embeddings"):
        out = 0.5 * z
    elif last == "proj":  # (width, out_dim), used as x @ proj
        out = z / np.sqrt(shape[0])
    elif name.endswith("conv1.weight"):
        out = z / np.sqrt(np.prod(shape[1:]))
    elif name.endswith("multihead_attn.k.weight"):  # memory rows have unit L2 norm
        out = 1.5 * z
    elif name.endswith("multihead_attn.q.weight"):
        out = 1.5 * z / np.sqrt(shape[1])
    elif name.endswith("q_proj.weight"):  # text rows have unit L2 norm
        out = 1.5 * z
    else:  # ordinary (out, in) matrices
        out = z / np.sqrt(shape[1])
    return np.ascontiguousarray(out, dtype=np.float32)


def text_embeddings(n_classes, dim, key="text"):
    """float16 unit-norm rows (the official .npy files are float16 too)."""
    t = _rs(key, n_classes, dim).standard_normal((n_classes, dim))
    return (t / np.linalg.norm(t, axis=1, keepdims=True)).astype(np.float16)


def images(n, h, w, key="img", cell=16):
    """(n,3,h,w) float32 'already normalised' images: blocks of cell px plus pixel noise."""
    rs = _rs(key, n, h, w)
    gh, gw = -(-h // cell), -(-w // cell)
    low = rs.standard_normal((n, 3, gh, gw))
    up = np.repeat(np.repeat(low, cell, 2), cell, 3)[:, :, :h, :w]
    return (up + 0.3 * rs.standard_normal((n, 3, h, w))).astype(np.float32)


def labels(n, h, w, choices, key="lab", cell=8):
    """(n,h,w) uint8 label maps made of blocks, each block one of `choices` (original class ids, 255)."""
    rs = _rs(key, n, h, w)
    gh, gw = -(-h // cell), -(-w // cell)
    low = np.asarray(choices, dtype=np.uint8)[rs.randint(0, len(choices), (n, gh, gw))]
    return np.repeat(np.repeat(low, cell, 1), cell, 2)[:, :h, :w].copy()


def sample_idx(size, k, key="idx"):
    """k fixed flat indices into an array of `size` elements."""
    return _rs(key, size, k).randint(0, size, k)
