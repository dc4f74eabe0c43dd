"""Who makes runs, and when: processes of this machine, or jobs of a cluster. Start reading in `grid`."""
