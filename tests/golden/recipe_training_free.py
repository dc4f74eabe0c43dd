"""Fillings by name for the open-vocabulary fixtures (numpy only); as recipe.py, with a salt per variant."""

import zlib

import numpy as np


def stream(*key):
    return np.random.RandomState(zlib.crc32("|".join(str(k) for k in key).encode()) & 0xFFFFFFFF)


def fill(salt, name, shape):
    """float32 for the parameter `name` (official name, see README): order of the rules matters, first match wins."""
    shape = tuple(int(s) for s in shape)
    z = stream(salt, name).standard_normal(shape)
    last = name.rsplit(".", 1)[-1]
    if last in ("class_embedding", "positional_embedding", "cls_token", "pos_embed"):
        out = 0.3 * z
    elif last in ("bias", "in_proj_bias"):
        out = 0.05 * z
    elif len(shape) == 1:  # weight of a norm
        out = 1.0 + 0.1 * z
    elif last == "proj":  # (width, d), used as x @ proj
        out = z / np.sqrt(shape[0])
    elif last == "in_proj_weight" or name.endswith("qkv.weight"):
        out = 1.5 * z / np.sqrt(shape[1])
    elif len(shape) == 4:  # patch embedding
        out = z / np.sqrt(np.prod(shape[1:]))
    else:  # (out, in) matrices, token embedding, text_projection
        out = z / np.sqrt(shape[1])
    return np.ascontiguousarray(out, dtype=np.float32)


def picture(salt, h, w, cell):
    """(1, 3, h, w) float32, already normalised by CLIP's mean and std: blocks of cell pixels plus pixel noise."""
    rs = stream(salt, "img", h, w)
    low = rs.standard_normal((3, -(-h // cell), -(-w // cell)))
    up = np.repeat(np.repeat(low, cell, 1), cell, 2)[:, :h, :w]
    return (up + 0.3 * rs.standard_normal((3, h, w))).astype(np.float32)[None]


def text_rows(salt, n, d):
    """(n, d) float32 unit rows standing for text embeddings."""
    t = stream(salt, "text", n, d).standard_normal((n, d))
    return (t / np.linalg.norm(t, axis=1, keepdims=True)).astype(np.float32)
