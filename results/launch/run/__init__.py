"""What one process does with a run: train, score, write the record. Start reading in `worker` and `make`."""
