"""A real Slurm cluster on one host: each node in namespaces of its own, with its own address, name and fake GPUs.

Needs root, slurm-wlm, munge and iproute2. A node that says "localhost" where it means another one fails here as it
would on a real cluster. Everything dies with the controller's first process.

    python -m tests.slurm.cluster     # one to try things on, until Ctrl-C
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")  # what keeping accounts needs beside
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "unshare", "nsenter", "mknod")
CONF = """\
ClusterName=lab
SlurmctldHost=ctl(10.77.0.1)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
{accounting}
JobAcctGatherType=jobacct_gather/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/spool/controller
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/spool/slurmctld.pid
SlurmdPidFile={folder}/spool/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
KillWait=15
SlurmdTimeout=5
MessageTimeout=15
CompleteWait=0
MinJobAge=7200
OverTimeLimit=0
MailProg=/bin/true
FirstJobId={first}
NodeName=n[0-{last}] NodeAddr=10.77.0.[10-{end}] CPUs={cpus} RealMemory=16000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=batch Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=gpu-h100 Nodes=n[0-1] MaxTime=02:00:00 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
"""
NO_ACCOUNTS = "AccountingStorageType=accounting_storage/none"
ACCOUNTS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=10.77.0.1
AccountingStoragePass={folder}/munge.sock
AccountingStorageEnforce=associations,limits,qos"""
SLURMDBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=ctl
DbdAddr=10.77.0.1
SlurmUser=root
PidFile={folder}/spool/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=10.77.0.1
StorageUser=root
"""


def lacking(*more: str) -> str:
    """Why no cluster can be started here, or none that needs more programs; "" where one can."""
    if os.geteuid() != 0:
        return "the virtual cluster needs root"
    missing = [
        name for name in (*PROGRAMS, *more) if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    ]
    if missing:
        return f"not installed: {', '.join(missing)} (apt install slurm-wlm munge iproute2)"
    tried = subprocess.run(["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "true"], capture_output=True)
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


class Cluster:
    """Starts when made; `stop` ends it and all it runs.

    Args:
        folder: for its files; new and empty.
        nodes: how many, n0 upwards.
        cpus: that each node says it has.
        gpus: fake ones of each node, device files that read like /dev/null.
        accounts: whether it keeps accounts, in a database of its own, and runs jobs of those that it knows.
    """

    def __init__(self, folder: Path, nodes: int = 4, cpus: int = 64, gpus: int = 4, accounts: bool = False):
        self.folder, self.nodes = folder, nodes
        for name in ("etc", "log", "spool/controller", "dev"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        for number in range(gpus):
            subprocess.run(["mknod", folder / f"dev/nvidia{number}", "c", "1", "3"], check=True)
        names = [f"10.77.0.{10 + number} n{number}" for number in range(nodes)]
        (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", "10.77.0.1 ctl", *names, ""]))
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        first = int(time.time()) % 900_000 + 1000  # ids of an earlier cluster must not come back
        values = {"folder": folder, "last": nodes - 1, "end": 9 + nodes, "cpus": cpus, "gpus": gpus, "first": first}
        values["accounting"] = ACCOUNTS.format(folder=folder) if accounts else NO_ACCOUNTS
        if accounts:
            (folder / "etc/slurmdbd.conf").write_text(SLURMDBD.format(folder=folder))
            (folder / "etc/slurmdbd.conf").chmod(0o600)
        (folder / "etc/slurm.conf").write_text(CONF.format(**values))
        devices = f"{folder}/dev/nvidia[0-{gpus - 1}]"
        (folder / "etc/gres.conf").write_text(
            f"NodeName=n[0-{nodes - 1}] Name=gpu File={devices} Flags=nvidia_gpu_env\n"
        )
        Path("/etc/slurm").mkdir(exist_ok=True)
        os.mkfifo(folder / "orders")
        spaces = ["--fork", "--kill-child", "--pid", "--mount-proc", "--net", "--uts", "--mount"]
        command = ["unshare", *spaces, "--propagation", "private", HERE / "controller.sh", folder, str(nodes)]
        env = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH"))}
        env["PATH"] += ":/usr/sbin:/sbin"
        with (folder / "log/controller.log").open("w") as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                process_group=0,
                preexec_fn=_die_with_this_process,
            )
        try:
            self.wait_for(self._ready, 120)
        except AssertionError:
            self.stop()
            raise

    def _ready(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log/controller.log").read_text()
        return (self.folder / "booted").exists() and len(self.idle()) == self.nodes

    def idle(self) -> list[str]:
        """Names of the nodes that wait for work."""
        listed = self.run("sinfo", "-h", "-N", "-p", "batch", "-t", "idle", "-o", "%N", check=False).stdout
        return listed.split()

    def enter(self, *words: str | Path, node: int | None = None) -> list[str]:
        """The command line that runs words on the login node, or on another one."""
        pid = self.first_process(node)
        return ["nsenter", "-t", str(pid), "-m", "-n", "-u", "-p", f"--wdns={Path.cwd()}", *map(str, words)]

    def first_process(self, node: int | None = None) -> int:
        """The process of this host that is the first one of a node, or of the login node."""
        if node is None:
            return _children(self.process.pid)[0]
        scripts = [_children(outer) for outer in _children(self.first_process())]
        for (inner,) in (found for found in scripts if len(found) == 1):
            with suppress(FileNotFoundError, ProcessLookupError):
                words = Path(f"/proc/{inner}/cmdline").read_bytes().split(b"\0")
                if str(HERE / "node.sh").encode() in words and words[3] == str(node).encode():
                    return inner
        raise AssertionError(f"node n{node} is not up")

    def run(
        self, *words: str | Path, check: bool = True, env: dict[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the login node to its end."""
        done = subprocess.run(
            self.enter(*words), capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=timeout
        )
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def r1lab(self, *words: str | Path, check: bool = True, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run `python -m r1lab` on the login node."""
        return self.run(sys.executable, "-m", "r1lab", *words, check=check, timeout=timeout)

    def start_r1lab(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start `python -m r1lab` on the login node and leave it running."""
        command = self.enter(sys.executable, "-m", "r1lab", *words)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def state(self, job: str) -> str:
        """Slurm's own word for a job's state; "" for one that it does not know."""
        parent = job.partition("_")[0]
        listed = self.run("squeue", "-h", "-r", "-t", "all", "-j", parent, "-o", "%i %T", check=False).stdout
        states = dict(line.split() for line in listed.splitlines())
        return states.get(job) or states.get(parent, "")  # tasks that never started share the array's

    def ended(self, job: str, seconds: float = 60) -> str:
        """Slurm's word for how a job ended, once it has: it says so a little after the run does."""
        under_way = ("", "PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED")
        self.wait_for(lambda: self.state(job) not in under_way, seconds)
        return self.state(job)

    def wait_for(self, happens: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something is true.

        Raises:
            AssertionError: it was not in time.
        """
        deadline = time.monotonic() + seconds
        while not happens():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)

    def power_off(self, node: int) -> None:
        """Make a node go dark, with everything on it."""
        os.kill(self.first_process(node), signal.SIGKILL)

    def power_on(self, node: int) -> None:
        """Boot a node that is off."""
        with (self.folder / "orders").open("w") as orders:
            orders.write(f"start {node}\n")

    def pids(self, node: int | None = None) -> list[tuple[int, str]]:
        """The processes of the cluster, or of one node: this host's ids, and command lines."""
        return _commands([self.first_process(node)])

    def processes(self, *marks: str) -> list[str]:
        """Command lines of processes of the cluster that hold one of the marks."""
        return [line for _, line in self.pids() if any(mark in line for mark in marks)]

    def clear(self) -> None:
        """Take whatever a test left out of the queue, and wait until every node is free."""
        self.run("scancel", "-u", "root", check=False)
        self.wait_for(lambda: len(self.idle()) == self.nodes, 90)

    def stop(self) -> None:
        """End the cluster and whatever runs on it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)


def _die_with_this_process() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: tests that are killed leave no cluster behind


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def _commands(pids: Sequence[int]) -> list[tuple[int, str]]:
    """Processes and all below them, with their command lines."""
    found: list[tuple[int, str]] = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [(pid, line.strip()), *_commands(_children(pid))]
    return found


def main() -> None:
    """Start a cluster, say how to enter it, and stay until Ctrl-C."""
    said = argparse.ArgumentParser(prog="python -m tests.slurm.cluster", description=main.__doc__)
    said.add_argument("--nodes", type=int, default=2, choices=range(2, 10), help="how many nodes (default: 2)")
    said.add_argument("--gpus", type=int, default=4, choices=range(1, 9), help="fake GPUs of each node (default: 4)")
    asked = said.parse_args()
    if reason := lacking():
        sys.exit(reason)
    for number in (signal.SIGINT, signal.SIGTERM):  # the first one too: a shell starts background jobs deaf to it
        signal.signal(number, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = Cluster(Path(folder) / "lab", nodes=asked.nodes, gpus=asked.gpus)
        print(f"{asked.nodes} nodes are up. Enter their login node from another terminal, also as root:\n")
        print(
            f"    {shlex.join(cluster.enter('bash'))}\n\nCtrl-C here ends the cluster and all that runs on it.",
            flush=True,
        )
        try:
            cluster.process.wait()
            print(f"it ended by itself:\n{(cluster.folder / 'log/controller.log').read_text()}", file=sys.stderr)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
