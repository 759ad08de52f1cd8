"""One node of a run: starts what this node does, waits for the server, hears the first failure, stops it all in order.

Nodes of one run speak through its folder: `failures/ATTEMPT.json` is the first failure of all of them, and
`nodes/ATTEMPT/` says where a server answers, which nodes are alive and which are done. A local run is one node.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from r1lab.config.serving import TRAINABLE_ENVIRONMENT
from r1lab.errors import RunError
from r1lab.launch import COMMAND, FAILURE, NODE, SERVER, SERVING
from r1lab.launch.ending import conclude
from r1lab.launch.environment import environment, visible
from r1lab.launch.heartbeat import Heartbeat
from r1lab.launch.roles import Roles, Serve, Train, roles, together
from r1lab.launch.serving import command_of, interface_of
from r1lab.processes.children import Child, Server
from r1lab.processes.health import free_port, wait_until_healthy
from r1lab.runs import failures
from r1lab.runs.failures import Failure
from r1lab.runs.folder import RunFolder, write_atomic
from r1lab.terminal import lengthy
from r1lab.wording import display, killed_by

TICK = 0.1  # seconds between two looks at the processes and at the other nodes
HEARING = 1.0  # seconds that a signal sent to every process may take to reach this one
LOST = "a node"  # in the place of the process, in the record of a failure
PORT = 29500  # of the training processes' meeting where nothing says one, as torch has it


@dataclass(frozen=True)
class Node:
    """This node among those of a run.

    Attributes:
        index: its number, from 0.
        count: how many there are.
        addresses: of all of them, in order, as the others reach them.
        rendezvous: a port of the first node that is free, where training processes meet.
        attempt: a word of this start of the run, the same on all nodes and for no other start.
    """

    index: int = 0
    count: int = 1
    addresses: Sequence[str] = ("127.0.0.1",)
    rendezvous: int = PORT
    attempt: str = "local"


class Stopped(Exception):
    """Something has ended the node's work early: the cause is in the record of the first failure."""


@dataclass
class Supervisor:
    """What runs on one node.

    Attributes:
        run_yaml: the run's resolved config, in its folder.
        node: where this is.
        typed: the command that asked for the run.
    """

    run_yaml: Path
    node: Node
    typed: str = ""
    asked: int = 0  # the signal that asked this node to stop
    failed: float | None = None  # when this node heard of the first failure
    servers: list[Server] = field(default_factory=list)
    trainer: Child | None = None

    def __post_init__(self) -> None:
        self.folder = RunFolder(self.run_yaml.parent)
        self.cfg = self.folder.read_config()
        self.record = self.folder.path / "failures" / f"{self.node.attempt}.json"
        self.notes = self.folder.path / "nodes" / self.node.attempt
        everybody = roles(self.cfg)
        if len(everybody) != self.node.count:
            raise RunError(f"the run takes {len(everybody)} nodes and was started on {self.node.count}")
        self.everybody: Sequence[Roles] = everybody
        self.mine = everybody[self.node.index]
        self.later = None if self.cfg.get("trainer") else self.mine.serve  # what is served, the run's process will say
        others = [item.node for item in everybody if item.node != self.node.index]
        self.pulse = Heartbeat(self.notes, self.node.index, others, self.cfg.accelerator.silence)

    def run(self) -> int:
        """Do this node's work; the exit code of its training processes, 0 on a node that only serves."""
        try:
            with passing_signals(self):
                if self.mine.serve and not self.later:
                    self.serve(self.mine.serve)
                if self.mine.train is None:
                    return self.wait_for_the_others()
                first = self.cfg.get("trainer") and any(item.serve for item in self.everybody)
                self.train(self.mine.train, self.wait_for_the_server() if first else "")
                return self.wait_for_training()
        except Stopped:
            return 1
        finally:
            for child in [*([self.trainer] if self.trainer else []), *self.servers]:
                child.end()
            if self.node.count > 1:
                write_atomic(self.notes / f"{self.node.index}.ended", "")

    def serve(self, role: Serve, saved: dict[str, str] | None = None) -> None:
        """Start this node's part of the server, and say where it answers."""
        address = self.node.addresses[self.node.index]
        port = free_port(address)
        env = {**environment(self.cfg), **self.network(), "VLLM_HOST_IP": address}
        env |= TRAINABLE_ENVIRONMENT if self.cfg.get("trainer") else {}
        env["CUDA_VISIBLE_DEVICES"] = visible(role.devices)
        head = self.node.addresses[self.node.index - role.place]
        command = command_of(self.cfg, role, address, port, head, saved)
        log = self.folder.path / "servers" / f"{self.node.index}.log"
        self.servers.append(Server(f"the server on {address}", command, env, log))
        if role.place == 0:
            write_atomic(self.notes / "server", f"http://{address}:{port}")

    def wait_for_the_server(self) -> str:
        """Wait until the server is healthy; its address.

        Raises:
            Stopped: it is not within `engine.start_timeout` seconds, or something has failed.
        """
        limit, place = float(self.cfg.engine.start_timeout), self.notes / "server"
        logs = self.folder.path / "servers"

        def address() -> str:
            return place.read_text() if place.is_file() else ""

        with lengthy(f"waiting for the server to load {self.cfg.model.name}; its log is in {display(logs)}"):
            url = wait_until_healthy(address, limit, self.look)
        if url:
            return url
        where = address() or "the node that serves"
        self.fail(f"the server at {where} was not ready after {limit:g} seconds (engine.start_timeout)", "server", 1)
        raise Stopped

    def train(self, role: Train, server: str) -> None:
        """Start this node's training processes: one alone, or torch.distributed.run over them."""
        env = {**environment(self.cfg, role.processes), COMMAND: self.typed, **self.network()}
        env[FAILURE], env[NODE] = str(self.record), str(self.node.index)
        if role.devices:
            env["CUDA_VISIBLE_DEVICES"] = visible(role.devices)
        if any(item.serve for item in self.everybody) and not self.cfg.get("trainer"):
            env[SERVING] = str(self.notes)
        if server:
            env |= {SERVER: server, "VLLM_HOST_IP": self.node.addresses[self.node.index]}
        command = [sys.executable, "-m", "r1lab.launch.worker", str(self.run_yaml)]
        if together(self.cfg):
            command = [sys.executable, "-m", "r1lab.launch.agent", *self.meeting(role), *command[1:]]
        self.trainer = Child("training", command, env)

    def meeting(self, role: Train) -> list[str]:
        """torch.distributed.run's words for this node."""
        words = [f"--nproc-per-node={role.processes}", f"--nnodes={role.nodes}", "--max-restarts=0"]
        if role.nodes == 1:
            return [*words, "--standalone"]
        first = self.node.addresses[0]
        words += ["--rdzv-backend=static", f"--master-addr={first}", f"--master-port={self.node.rendezvous}"]
        return [*words, f"--node-rank={role.place}", f"--local-addr={self.node.addresses[self.node.index]}"]

    def network(self) -> dict[str, str]:
        """What several nodes need to find each other by their real addresses; nothing where there is one."""
        if self.node.count == 1 or "GLOO_SOCKET_IFNAME" in os.environ:
            return {}
        name = interface_of(self.node.addresses[self.node.index])
        return {"GLOO_SOCKET_IFNAME": name} if name else {}

    def wait_for_training(self) -> int:
        """Wait for this node's training processes to end; their exit code."""
        assert self.trainer is not None
        while (code := self.trainer.wait(TICK)) is None:
            self.look()
        if code < 0 and not self.stopping(code):
            process = "training" if together(self.cfg) else "the training process"
            self.fail(f"{process} was {killed_by(-code)}", process, code)
        return code

    def wait_for_the_others(self) -> int:
        """Serve until every node that trains has ended."""
        waiting = [self.notes / f"{item.node}.ended" for item in self.everybody if item.train]
        while not all(path.exists() for path in waiting):
            self.look()
            time.sleep(TICK)
        return 0

    def look(self) -> None:
        """Look whether all that should run does.

        Raises:
            Stopped: this node was asked to stop before it trained, a server has ended, or another node has failed or
                gone dark.
        """
        for server in self.servers:
            if (code := server.code) is not None:
                if not self.stopping(code):
                    self.fail(server.ended(), "server", code, server)
                raise Stopped
        if self.later and (told := self.notes / "serve.json").is_file():
            role, self.later = self.later, None
            self.serve(role, json.loads(told.read_text()))
        if self.node.count > 1 and (lost := self.pulse.beat()) is not None:
            silence = f"no sign of life for {self.cfg.accelerator.silence:g} seconds (accelerator.silence)"
            self.fail(f"a node failed: {self.node.addresses[lost]} gave {silence}", LOST, 1)
            raise Stopped
        if self.asked and self.trainer is None:
            raise Stopped
        if self.failed is None and (first := failures.read(self.record)):
            self.failed = time.monotonic()
            if self.trainer is None or first.node != self.node.index:
                raise Stopped
        if self.failed and time.monotonic() - self.failed > Child.grace:  # one of this node's own hangs
            assert self.trainer is not None
            self.trainer.signal(signal.SIGKILL)
            raise Stopped

    def stopping(self, code: int) -> bool:
        """Whether this node is asked to stop; a scheduler's SIGTERM can end a process here before it is heard here."""
        until = time.monotonic() + HEARING
        while code == -signal.SIGTERM and not self.asked and time.monotonic() < until:
            time.sleep(TICK)
        return bool(self.asked)

    def fail(self, cause: str, process: str, code: int, server: Server | None = None) -> None:
        """Record a failure, if it is the first."""
        server = server or next(iter(self.servers), None) if process == "server" else None
        shown = f"{cause}\n{server.last_lines()}" if server else cause
        log = str(server.log.relative_to(self.folder.path)) if server else "run.log"
        with suppress(OSError):  # a folder that cannot be written: the exit code tells it
            failures.claim(self.record, Failure(shown, process, code, node=self.node.index, log=log))


def supervise(run_yaml: Path, node: Node | None = None, typed: str = "") -> dict[str, Any]:
    """Run one node of a run to its end.

    Args:
        run_yaml: the resolved config, in the run's folder, which all nodes see.
        node: where this is; this machine alone if none is given.
        typed: the command that asked for the run, for the manifest.

    Returns:
        The run's final metrics on the first node, nothing on the others.

    Raises:
        RunError: the run failed; the message is its cause, on whichever node that was.
        UserError: the run found, once its libraries were loaded, that it cannot run as asked.
        KeyboardInterrupt: this process was asked to stop.
    """
    supervisor = Supervisor(run_yaml, node or Node(), typed)
    if supervisor.node.count == 1:  # an earlier start's; several nodes have a new attempt's name
        supervisor.record.unlink(missing_ok=True)
        (supervisor.notes / "server").unlink(missing_ok=True)
    code = supervisor.run()
    first = failures.read(supervisor.record)
    if supervisor.asked and first is None:
        raise KeyboardInterrupt
    return conclude(supervisor.folder, code, first, owner=supervisor.node.index == 0)


@contextmanager
def passing_signals(supervisor: Supervisor) -> Iterator[None]:
    """Pass SIGINT and SIGTERM on to the training processes, and wait for them to end in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def pass_on(number: int, _frame: FrameType | None) -> None:
        supervisor.asked = number
        if supervisor.trainer and supervisor.trainer.code is None:
            supervisor.trainer.signal(number)

    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {
        number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
