"""CLIP-to-Seg and CLIPTeacher: a closed-set segmentor taught by a frozen CLIP, which is gone at test."""
