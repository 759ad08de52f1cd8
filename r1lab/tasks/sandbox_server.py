"""task=sandbox_server: serve this machine's sandbox to training processes elsewhere, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import socket

from omegaconf import DictConfig, OmegaConf

from r1lab.config.environment import PISTON_TOKEN, lookup
from r1lab.errors import ConfigError, Finding
from r1lab.sandbox.local import LocalSandbox
from r1lab.sandbox_server.jobs import Most
from r1lab.sandbox_server.server import SandboxServer
from r1lab.sandbox_server.serving import rename_job, serve


def run(cfg: DictConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigError: the sandbox is not this machine's, or the address cannot be listened on.
    """
    task = cfg.task
    values = OmegaConf.to_container(cfg.sandbox, resolve=True)
    assert isinstance(values, dict)
    if values.pop("_target_", None) != "r1lab.sandbox.local.LocalSandbox":
        what = "task=sandbox_server serves the sandbox of this machine"
        raise ConfigError([Finding(what, f"sandbox={cfg.sandbox.get('name', '')}", "sandbox=local")])
    values.pop("name", None)
    sandbox = LocalSandbox(**{str(key): value for key, value in values.items()})
    most = Most(
        run_timeout=1000 * task.max_seconds,
        run_cpu_time=1000 * task.max_seconds,
        compile_timeout=1000 * task.max_compile_seconds,
        compile_cpu_time=1000 * task.max_compile_seconds,
        run_memory_limit=task.max_memory,
        compile_memory_limit=task.max_memory,
    )
    token = lookup(PISTON_TOKEN)
    server = SandboxServer(sandbox, task.parallel, task.queue, task.max_body, most, task.max_script_seconds, token)
    in_slurm = "SLURM_JOB_ID" in os.environ
    host = task.host or ("0.0.0.0" if in_slurm else "127.0.0.1")

    def say(host: str, port: int) -> None:
        name = socket.gethostname() if host == "0.0.0.0" else host
        print(f"sandbox server: http://{name}:{port}/api/v2, {server.gate.parallel} jobs at once", flush=True)
        if server.token is None and host != "127.0.0.1":
            print(f"    whoever reaches this port may run programs; {PISTON_TOKEN} in the environment asks for a token")
        if said := rename_job(port):
            print(f"    {said}", flush=True)

    ended = asyncio.run(serve(server, host, task.port, task.stop_seconds, say))
    print("sandbox server: ended" + ("" if ended else "; some jobs were cut short"), flush=True)
