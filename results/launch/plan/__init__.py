"""From a request to runs with keys, without torch. Start reading in `request` and `runs`."""
