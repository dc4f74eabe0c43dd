"""The built-in procedural world: its renderer (`world`), its tiny CLIP (`clip/`) and how that was made (`pretrain`)."""
