"""What training-free scores are a cosine times. No torch: the registry's entries say it to the decision."""

from typing import Final

SCALE: Final = 100.0  # what the temperature of OpenAI's models is clipped at, fixed here for every CLIP
