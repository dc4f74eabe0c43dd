"""The built-in procedural world. Start at `world`, its renderer; `clip` holds its tiny CLIP and how that was made."""
