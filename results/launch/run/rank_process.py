"""A rank of a run as a process that rank 0 starts on its machine: `python -m results.launch.run.rank_process`.

Its standard input says what to do, and its end that rank 0 is gone.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading

from results.launch.run.ranks import follow


def main() -> None:
    """Train with rank 0 until all is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job, meeting, rank = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    follow(job, meeting, rank)


def _end_with_parent() -> None:
    while os.read(0, 1):  # not by the buffered reader, which complains when the process ends while it is held
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
