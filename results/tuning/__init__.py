"""Trials behind the constants that are the harness's choice: one row a run, on the tune part alone."""
