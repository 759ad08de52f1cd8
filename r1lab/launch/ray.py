"""task=ray: Ray over the nodes of a Slurm job, and one server across them, tensor parallel within a node and pipeline
parallel between nodes.

The head stands on the first node, workers on the others. When all of them are there, the server starts. It ends in
order: the server, the workers, the head. What Ray and the server say goes to files in the run's folder.

Whoever reaches Ray's head may run programs as the user, so every start has a token of its own. It lies in the run's
folder for the user alone to read, and goes when the job ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from omegaconf import DictConfig

from r1lab.config.serving import serve_command
from r1lab.errors import ConfigError, Finding, RunError
from r1lab.launch import FOLDER
from r1lab.launch.environment import scrubbed
from r1lab.launch.place import this_node
from r1lab.launch.supervisor import Node
from r1lab.processes.children import Server
from r1lab.processes.health import healthy
from r1lab.runs.folder import write_atomic
from r1lab.slurm.script import gpus_of

TICK, LEAVING = 0.2, 20.0  # seconds between two looks; seconds that workers wait for the server to end first
TOO_SLOW = "timed out during startup"  # what Ray says of a node that was not up within its 30 seconds
AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # the user's own, where any is set
COUNT = """
import pathlib, sys, time, ray
address, wanted, limit = sys.argv[1], int(sys.argv[2]), time.time() + float(sys.argv[3])
while not ray.is_initialized():
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception:  # the head answers before it is ready, and may be started again meanwhile
        if time.time() > limit:
            raise
        time.sleep(0.5)
while len(alive := [node for node in ray.nodes() if node["Alive"]]) < wanted:
    if time.time() > limit:
        sys.exit(f"{len(alive)} of {wanted} nodes have joined")
    if alive:
        pathlib.Path(sys.argv[4]).touch()  # the head listens before it can take others in
    time.sleep(0.2)
print(f"{len(alive)} nodes, {int(ray.cluster_resources().get('GPU', 0))} GPUs")
"""


def run(cfg: DictConfig) -> None:
    """Do this node's part until the job is cancelled or something ends.

    Raises:
        ConfigError: this is no Slurm job.
        RunError: Ray or the server did not start, or ended by itself.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise ConfigError([Finding("task=ray runs on the nodes of a Slurm job", "task=ray", fix="add cluster=slurm")])
    node, folder = this_node(os.environ), Path(os.environ[FOLDER])
    asked = hear_signals()
    part = Head(cfg, node, folder, asked) if node.index == 0 else Worker(cfg, node, folder, asked)
    try:
        part.work()
    finally:
        part.end()


def hear_signals() -> Callable[[], bool]:
    """Hear SIGTERM and SIGINT; whether one has come."""
    heard: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda came, _frame: heard.append(came))
    return lambda: bool(heard)


def ray_port(environment: Mapping[str, str] = os.environ) -> int:
    """Where Ray's head answers; two jobs on one node have different ones."""
    return 32000 + int(environment["SLURM_JOB_ID"]) % 700


class Part:
    """One node's part.

    Args:
        cfg: the config.
        node: where this is.
        folder: for logs and notes, seen by all nodes.
        asked: whether this node was asked to stop.
    """

    def __init__(self, cfg: DictConfig, node: Node, folder: Path, asked: Callable[[], bool]):
        self.cfg, self.node, self.folder, self.asked = cfg, node, folder, asked
        self.address = node.addresses[node.index] if node.count > 1 else socket.gethostbyname(socket.gethostname())
        self.head = node.addresses[0] if node.count > 1 else self.address
        notes = folder / "nodes" / node.attempt
        self.ready, self.joined, self.done = notes / "head-ready", notes / "joined", notes / "server-ended"
        self.token = notes / "ray-token"
        self.temporary = Path(f"/tmp/ray-{node.attempt}-{node.index}")  # sockets are there: their paths must be short
        self.until = time.monotonic() + cfg.engine.start_timeout
        self.children: list[Server] = []  # Ray is the first

    def start_ray(self, *words: str) -> None:
        """Start this node's Ray."""
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
        command += [f"--node-ip-address={self.address}", f"--num-gpus={gpus_of(self.cfg)}"]
        command += [f"--temp-dir={self.temporary}", *words]
        self.start(f"Ray on {self.address}", command, f"ray-{self.node.index}.log")
        self.again = lambda: self.start_ray(*words)

    def start(self, name: str, command: list[str], log: str) -> None:
        """Start one process with all that it starts."""
        self.children.append(Server(name, command, self.environment(), self.folder / "servers" / log))

    def environment(self) -> dict[str, str]:
        """What every process of Ray and on it needs: where the head is, and the token that it asks for."""
        env = scrubbed() | {"VLLM_HOST_IP": self.address, "RAY_ADDRESS": f"{self.head}:{ray_port()}"}
        env["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] = "0"  # what stood on it has ended by then
        if any(name in env for name in AUTHENTICATION):
            return env
        return env | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}

    def look(self) -> None:
        """Look whether all that was started runs.

        Raises:
            RunError: it does not, and it is no Ray that only took its time to start: such a one is started again.
        """
        for child in list(self.children):
            if not (how := child.ended()):
                continue
            if self.joined.exists() or TOO_SLOW not in child.last_lines():
                raise RunError(f"{how}\n{child.last_lines()}")
            say(f"{child.name} {TOO_SLOW}; it is started again")
            child.end()
            self.children.clear()
            self.again()

    def wait(self, happens: Callable[[], bool], what: str) -> bool:
        """Wait until something is true; False where this node was asked to stop before.

        Raises:
            RunError: it took longer than `engine.start_timeout`, or something ended.
        """
        while not happens():
            self.look()
            if self.asked():
                return False
            if time.monotonic() > self.until:
                raise RunError(f"{what} after {self.cfg.engine.start_timeout:g} seconds (engine.start_timeout)")
            time.sleep(TICK)
        return True

    def work(self) -> None:
        """Start, and stay until the end."""
        raise NotImplementedError

    def end(self) -> None:
        """End what was started, the last first."""
        for child in reversed(self.children):
            say(f"{child.name} ends")
            child.end()
        shutil.rmtree(self.temporary, ignore_errors=True)


class Head(Part):
    """The first node: Ray's head, and the server."""

    def work(self) -> None:
        dashboard = self.cfg.task.dashboard_port
        write_secret(self.token)
        self.start_ray(
            "--head",
            f"--port={ray_port()}",
            f"--dashboard-host={self.address}",
            f"--dashboard-port={dashboard}",
        )
        if not self.wait(lambda: reachable(self.address, ray_port()), "Ray's head did not answer"):
            return
        if not (told := self.count()):
            return
        write_atomic(self.joined, "")
        say(f"ray {self.address}:{ray_port()}: {told}")
        say(f"dashboard http://{self.address}:{dashboard}")
        if self.token.name in self.environment().get("RAY_AUTH_TOKEN_PATH", ""):
            say(f"its token is in {self.token}")
        if self.cfg.task.serve:
            self.serve()
        while not self.asked():
            self.look()
            time.sleep(TICK)

    def count(self) -> str:
        """Wait until every node has joined; how many nodes and GPUs there are, "" where the job was asked to stop.

        Raises:
            RunError: they have not in time.
        """
        left = f"{max(1.0, self.until - time.monotonic()):.0f}"
        words = [f"{self.address}:{ray_port()}", str(self.node.count), left, str(self.ready)]
        command = [sys.executable, "-c", COUNT, *words]
        counting = subprocess.Popen(
            command, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            if not self.wait(lambda: counting.poll() is not None, f"not all of {self.node.count} nodes had joined Ray"):
                return ""
        finally:
            counting.kill()
            out, said = counting.communicate()
        if counting.returncode:
            raise RunError(f"Ray: {(said.strip().splitlines() or ['it did not answer'])[-1]}")
        return out.strip()

    def serve(self) -> None:
        """Start the server over all nodes and wait until it is ready."""
        url = f"http://{self.address}:{self.cfg.task.port}"
        command = serve_words(self.cfg, self.address)
        self.start(f"the server on {self.address}", command, "server.log")
        if self.wait(lambda: healthy(url), f"the server at {url} was not ready"):
            say(f"server {url}/v1")

    def end(self) -> None:
        """The server, the workers, the head."""
        for child in self.children[:0:-1]:
            say(f"{child.name} ends")
            child.end()
        write_atomic(self.done, "")
        self.until = time.monotonic() + LEAVING
        others = [self.done.with_name(f"{index}.ended") for index in range(1, self.node.count)]
        while not all(other.exists() for other in others) and time.monotonic() < self.until:
            time.sleep(TICK)
        self.children = self.children[:1]
        self.token.unlink(missing_ok=True)
        super().end()


class Worker(Part):
    """A node that joins the head's Ray."""

    def work(self) -> None:
        if not self.wait(self.ready.exists, f"Ray's head at {self.head} was not ready"):
            return
        self.start_ray(f"--address={self.head}:{ray_port()}")
        leave: float | None = None
        while not self.done.exists() and (leave is None or time.monotonic() < leave):
            self.look()
            if self.asked() and leave is None:
                leave = time.monotonic() + LEAVING  # the server ends before what it stands on
            time.sleep(TICK)

    def end(self) -> None:
        super().end()
        write_atomic(self.done.with_name(f"{self.node.index}.ended"), "")


def serve_words(cfg: DictConfig, address: str) -> list[str]:
    """The words that start `vllm serve` over the nodes of a Ray cluster."""
    engine = cfg.engine.copy()
    engine.arguments = {"distributed-executor-backend": "ray"} | dict(engine.arguments)
    weights = str(cfg.model.path or cfg.model.repo)
    return serve_command(engine, cfg.model, weights, host=address, port=cfg.task.port)


def write_secret(file: Path) -> None:
    """Write a new token that nobody else can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secrets.token_hex(32))


def reachable(address: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def say(text: str) -> None:
    """A line in the job's log."""
    print(f"r1lab: {text}", flush=True)
