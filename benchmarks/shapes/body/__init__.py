"""Pretrained weights of the `small` body for the built-in world, and how they were made: the stand-in for ImageNet."""
