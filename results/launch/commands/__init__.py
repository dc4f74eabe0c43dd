"""The commands, a file each: `add_parser` says what may be given, `main` does it. Start reading in `run` and `parse`.

Nothing else knows argparse. A command imports what it calls when it is called, so that `--help` waits for nothing.
"""
