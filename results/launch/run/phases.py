"""A training or a scoring as it goes on: what of it a record keeps, over all attempts."""

from __future__ import annotations

import time
from collections.abc import Collection

import torch

from results.launch.run.environment import vectors
from results.launch.run.job import Job
from results.launch.run.training import device_name
from results.store import machine, provenance
from results.store.claim import Claim, processor_seconds
from results.store.record import Phase


class PhaseClock:
    """Begins with the phase. Earlier attempts are known by their claims.

    since: the last claim that had to do with an earlier phase.
    """

    def __init__(self, job: Job, claim: Claim, since: int = 0):
        self.job, self.claim = job, claim
        self.started, self.load = provenance.now(), machine.load()
        self._before = claim.spent_before(since)
        self._began = time.monotonic(), processor_seconds()
        self._joules = self._energy()

    def phase(self, nondeterministic: Collection[str], members: tuple[str, ...] = (), devices: int = 1) -> Phase:
        """The phase, ending now. devices: how many were held all the time."""
        seconds = self._before[0] + time.monotonic() - self._began[0]
        on_gpu, joules = self.job.device == "cuda", self._energy()
        return Phase(
            **provenance.here(),
            device=device_name(self.job.device),
            processor=f"{machine.processor()}, {vectors(torch.backends.cpu.get_cpu_capability())}",
            driver=machine.driver() if on_gpu else "",
            cuda=(torch.version.cuda or "") if on_gpu else "",
            threads=self.job.threads,
            load=self.load,
            deterministic=not on_gpu,
            nondeterministic=tuple(sorted(nondeterministic)),
            started=self.started,
            ended=provenance.now(),
            attempts=self.claim.number,
            seconds=round(seconds, 3),
            device_seconds=round(seconds * devices, 3),
            cpu_seconds=round(self._before[1] + processor_seconds() - self._began[1], 3),
            energy_joules=None if joules is None or self._joules is None else joules - self._joules,
            code_sha256=provenance.code_sha256(),
            job=self.claim.job,
            ranks=members,
        )

    def _energy(self) -> float | None:
        if self.job.device != "cuda":
            return None
        try:
            gpu = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        except RuntimeError:  # a GPU that is gone: the run itself says so
            return None
        return machine.gpu_joules(gpu)
