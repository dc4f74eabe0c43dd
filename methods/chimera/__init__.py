"""Chimera-Seg (Chen et al. 2025, arXiv 2506.22032): a segmentation body under a head of CLIP. Our reading."""
