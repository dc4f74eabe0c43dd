"""A real SLURM of one machine for tests: daemons of its own in a folder of its own, reached through SLURM_CONF alone.

Nothing under /etc is read or written; munge has its own key and socket. Every daemon is a child of this process and
is stopped by its process id. What the configuration is for:

* `config_overrides`: a machine of two cores may advertise more, on several virtual nodes;
* `cred_expire`: a requeued job waits that long before it may start again (two minutes by default);
* `preempt_send_user_signal`: the partition `high` preempts `main`, and the victim gets USR2 first;
* `MaxArraySize`: small, so that a small grid has to be cut;
* the partition `hidden`: SLURM shows its jobs to nobody but root who does not ask for them;
* `OverMemoryKill`: a job above its memory is killed, as control groups do elsewhere, which need a machine of their own;
* no accounting: `sacct` answers that it is disabled, as on many small clusters.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

COMMANDS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "scontrol")
START_SECONDS = 60
MAX_ARRAY = 4


def missing() -> str:
    """Why a SLURM cannot be started here; empty where it can."""
    if os.geteuid() != 0:
        return "a SLURM of its own needs root"
    absent = [name for name in COMMANDS if shutil.which(name) is None]
    return f"no {', '.join(absent)} on this machine (Debian: slurm-wlm, munge)" if absent else ""


class Cluster:
    """A running SLURM. Use as a context."""

    def __init__(self, folder: Path, *, nodes: int = 3, cpus: int = 2):
        self.folder, self.nodes, self.cpus = folder, nodes, cpus
        self.conf = folder / "slurm.conf"
        self.environment = os.environ | {"SLURM_CONF": str(self.conf)}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Cluster:
        try:
            self._configure()
            self._munge()
            self._start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
            wait_until(lambda: "is UP" in self.ask("scontrol", "ping"), "slurmctld answers")
            for number in range(1, self.nodes + 1):
                self.start_node(number)
            wait_until(lambda: self.ready() == self.nodes, "all nodes are idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.ask("scancel", "--user", "root", "--signal", "KILL")
        self.ask("scancel", "--user", "root")
        for name in sorted(self._daemons, key=lambda n: (n == "munged", n == "slurmctld")):
            _stop(self._daemons[name])
        for pid, _ in self._steps():
            _kill(pid)

    def ask(self, *command: str) -> str:
        """What a SLURM command prints; empty where it fails."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False).stdout

    def succeeds(self, *command: str) -> bool:
        """Does a SLURM command succeed?"""
        return subprocess.run(command, env=self.environment, capture_output=True, check=False).returncode == 0

    def state(self, job: str) -> str:
        """The state of a job."""
        return self.ask("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Poll until something holds."""
        wait_until(condition, what, seconds)

    def ready(self) -> int:
        """How many nodes can take jobs."""
        states = self.ask("sinfo", "-h", "-N", "-p", "main", "-o", "%N %t").split("\n")
        return sum(line.endswith((" idle", " mix", " alloc")) for line in set(states))

    def start_node(self, number: int) -> None:
        """Start the daemon of a node."""
        self._start(f"n{number}", "slurmd", "-D", "-N", f"n{number}", "-f", str(self.conf))

    def kill_node(self, name: str) -> None:
        """What a power failure does: the node's daemon, its job steps and their processes end at once."""
        ids = self.ask("squeue", "-h", "-w", name, "-t", "running", "-o", "%A").split()
        steps = [pid for pid, title in self._steps() if any(f"[{job}." in title for job in ids)]
        everything = [self._daemons[name].pid, *steps, *(below for step in steps for below in _descendants(step))]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # nobody lives to tell that another has died
            for pid in everything:
                _kill(pid, number)
        self._daemons[name].wait()

    def _configure(self) -> None:
        for name in ("state", "log", "pid", "munge", *(f"spool/n{i}" for i in range(1, self.nodes + 1))):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        self.conf.write_text(self._text())

    def _text(self) -> str:
        here, host, ports = self.folder, socket.gethostname().split(".")[0], _free_ports(self.nodes + 1)
        nodes = [
            f"NodeName=n{i} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[i]} CPUs={self.cpus} Boards=1 "
            f"SocketsPerBoard=1 CoresPerSocket={self.cpus} ThreadsPerCore=1 RealMemory=4000 State=UNKNOWN"
            for i in range(1, self.nodes + 1)
        ]
        return f"""ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={here}/munge/socket,cred_expire=5
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool/%n
SlurmctldPidFile={here}/pid/slurmctld
SlurmdPidFile={here}/pid/%n
SlurmctldLogFile={here}/log/slurmctld
SlurmdLogFile={here}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerNode=1900
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,sched_min_interval=100000,batch_sched_delay=0,bf_interval=2
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
EnforcePartLimits=NO
MpiDefault=none
SwitchType=switch/none
MailProg=/bin/true
ReturnToService=2
JobRequeue=1
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=10
MaxArraySize={MAX_ARRAY}
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
{chr(10).join(nodes)}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=short Nodes=ALL MaxTime=00:10:00 State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=hidden Nodes=ALL Hidden=YES State=UP PriorityTier=1 PreemptMode=REQUEUE
"""

    def _munge(self) -> None:
        folder = self.folder / "munge"
        (folder / "key").write_bytes(os.urandom(128))
        (folder / "key").chmod(0o400)
        command = ["munged", "--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/socket"]
        command += [f"--pid-file={folder}/pid", f"--log-file={folder}/log", f"--seed-file={folder}/seed"]
        self._start("munged", *command)
        probe = ["munge", "-n", f"--socket={folder}/socket"]
        wait_until(lambda: subprocess.run(probe, capture_output=True).returncode == 0, "munged answers")

    def _start(self, name: str, *command: str) -> None:
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _steps(self) -> list[tuple[int, str]]:
        """Process id and title of every job step of this cluster."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = str(self.conf).encode() in (folder / "environ").read_bytes()
                title = (folder / "cmdline").read_bytes().decode(errors="replace")
                if ours and title.startswith("slurmstepd"):
                    found.append((int(folder.name), title))
        return found


def wait_until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until something holds; AssertionError where it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        found += (below := children.get(waiting.pop(), []))
        waiting += below
    return found


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
