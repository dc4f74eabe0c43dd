"""ZegCLIP (Zhou et al., CVPR 2023, arXiv 2212.03588): deep prompts, non-exclusive loss, relationship descriptor."""
