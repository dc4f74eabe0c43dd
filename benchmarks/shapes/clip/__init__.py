"""The tiny CLIP of the built-in world: `tower` loads its weights, `pretrain` made them, `measure` tests it."""
