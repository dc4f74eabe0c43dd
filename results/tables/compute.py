"""What runs cost over all their attempts, by method and device: wall, processor and device hours, and energy.

A training that was scored several times counts once, and so does one that serves two names of a benchmark. Records
from before attempts were timed count as unknown; they are never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from benchmarks.twins import either_digest
from results.store.machine import name_of
from results.store.record import Phase, RunRecord
from results.tables.table import Column, Table

HOUR, KWH = 3600.0, 3.6e6
_SUMS = {"wall_hours": "seconds", "cpu_hours": "cpu_seconds", "device_hours": "device_seconds"}
_NOTES = (
    "Over all attempts, starts and loading included, also those that were killed; a training that was scored several "
    "times counts once. Device hours: wall hours times the devices held. CPU hours: of rank 0 and its data loaders.",
    "Energy: of rank 0's GPU in the last attempt, as NVML counts it; the number of phases that it is known of stands "
    "beside it. Without time: phases of records that did not count their attempts; they are in no sum.",
)


def compute_table(records: Iterable[RunRecord]) -> Table:
    """A row for each method, phase and device, and for the sum over methods of each device."""
    rows = pd.DataFrame(list(phases(records)), columns=[*_KEYS, *_COUNTED])
    frames = [_summed(rows, _KEYS), _summed(rows.assign(method="all methods", phase="both"), _KEYS)]
    frame = pd.concat(frames, ignore_index=True)
    columns = [
        Column.text("method", "method"),
        Column.text("phase", "phase"),
        Column.text("device", "device"),
        Column.figure("phases", "phases", ".0f"),
        *(Column.figure(name.replace("_", " "), name, ".3f") for name in _SUMS),
        Column.figure("energy, kWh", "energy_kwh", ".4f"),
        Column.figure("known of", "with_energy", ".0f"),
        Column.figure("without time", "without_time", ".0f"),
    ]
    return Table("Compute over all attempts", frame, tuple(columns), _NOTES, None, "compute")


_KEYS = ["method", "phase", "device"]
_COUNTED = ["phases", *_SUMS, "energy_kwh", "with_energy", "without_time"]


def phases(records: Iterable[RunRecord]) -> Iterator[dict[str, Any]]:
    """Each training and each scoring once: method, phase, device, hours."""
    known: set[tuple[str, ...]] = set()
    for record in records:
        result, provenance = record.result, record.provenance
        method = result.train.method
        for name, phase in (("training", provenance.training), ("scoring", provenance.scoring)):
            if phase is None:
                continue
            asked = "" if name == "training" else either_digest(result.evaluation)
            key = (either_digest(result.train), name, asked, phase.host, phase.started, phase.ended)
            if key not in known:
                known.add(key)
                where = {"device": _device(phase), "on_gpu": phase.device != "cpu"}
                yield {"method": method, "phase": name, **where, **_costs(phase)}


def _device(phase: Phase) -> str:
    return phase.device if phase.device != "cpu" else name_of(phase.processor) or "CPU, model not recorded"


def _costs(phase: Phase) -> dict[str, float]:
    energy = phase.energy_joules
    hours = {name: (getattr(phase, field) or 0.0) / HOUR for name, field in _SUMS.items()}
    return hours | {
        "phases": 1,
        "energy_kwh": 0.0 if energy is None else energy / KWH,
        "with_energy": int(energy is not None),
        "without_time": int(phase.seconds is None),
    }


def _summed(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Sums; what is known of no phase is undefined, not 0."""
    found = rows.groupby(keys, sort=True)[_COUNTED].sum().reset_index()
    found["energy_kwh"] = found["energy_kwh"].where(found["with_energy"] > 0)
    for name in _SUMS:
        found[name] = found[name].where(found["without_time"] < found["phases"])
    return found
