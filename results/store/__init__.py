"""Records of runs and their folders. Start at `record` (what is stored) and `folders` (what lies where)."""
