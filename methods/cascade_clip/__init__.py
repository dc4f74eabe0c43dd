"""Cascade-CLIP (Li et al., ICML 2024, arXiv 2406.00670): ZegCLIP with a decoder for each of three groups of blocks."""
