"""`doctor`: what is here and what is missing; with `--gpu` everything that only a GPU can show."""

from __future__ import annotations

import argparse
from pathlib import Path

from results.store.places import results_folder, runs_folder
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Where to look, and how far."""
    parser = commands.add_parser("doctor", help="what is installed, found and missing; --gpu: ten minutes on a GPU")
    parser.add_argument("--data-root", metavar="DIR", help="folders of data sets (else ZSS_DATA_ROOT)")
    parser.add_argument("--runs", type=Path, default=runs_folder(), metavar="DIR", help="where runs would be stored")
    parser.add_argument(
        "--gpu", action="store_true", help="check and measure this GPU: one JSON and one page, which you can send"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="of --gpu: where both are written; default: results/gpu-check"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], help=argparse.SUPPRESS)  # cpu: a trial of the checks
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Print what was found. Exit code 1 where a check of the GPU failed, 2 without one; what is missing is no error."""
    if options.gpu:
        from results.launch.run.doctor.gpu import checked

        out = options.out or results_folder() / "gpu-check"
        return checked(out, device=options.device, say=lambda line: print(line, flush=True))
    if options.out or options.device:
        raise UserError("--out and --device belong to --gpu")
    from results.launch.run.doctor.installation import findings

    found = list(findings(options.data_root, options.runs))
    width = max(len(one.what) for one in found)
    for one in found:
        lacking = f"   <- missing for: {one.missing_for}" if one.missing_for else ""
        print(f"{one.what:{width}}  {one.found}{lacking}")
    return 0
