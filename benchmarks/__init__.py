"""What is measured: the protocol, data sets, scoring, training and the built-in world.

Start at `protocol` (what a number means) and `spec` (what identifies a run); `catalogue` lists the benchmarks.
"""
