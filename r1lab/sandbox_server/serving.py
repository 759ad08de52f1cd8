"""A sandbox server's life: listen, say where, stop in order; and what a Slurm job does to be found."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable

from aiohttp import web

from r1lab.errors import ConfigError, Finding
from r1lab.sandbox_server.server import SandboxServer

log = logging.getLogger("r1lab")
WAITING = 1024  # connections that the kernel keeps before they are accepted


async def serve(
    server: SandboxServer, host: str, port: int, stop_seconds: float, say: Callable[[str, int], None]
) -> bool:
    """Serve until SIGTERM or SIGINT; then refuse what is new, finish what runs and end.

    Args:
        server: what is served.
        host: the address to listen on.
        port: likewise; 0: any free one.
        stop_seconds: that running jobs have to end; a second signal cuts that short.
        say: is told host and port once it listens.

    Returns:
        Whether every job came to its end.

    Raises:
        ConfigError: the address is in use or is none of this machine's.
    """
    stop, at_once = asyncio.Event(), asyncio.Event()

    def asked_to_stop() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    await server.prepare()
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=WAITING)
        try:
            await site.start()
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
            raise ConfigError([_deaf(host, port, error)]) from error
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked_to_stop)
        say(host, runner.addresses[0][1])
        await stop.wait()
        waits = [asyncio.ensure_future(server.gate.close(stop_seconds)), asyncio.ensure_future(at_once.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        ended = waits[0].done() and waits[0].result()
        for task in waits:
            task.cancel()
        return ended
    finally:
        server.sandbox.close()
        await runner.cleanup()


def _deaf(host: str, port: int, error: Exception) -> Finding:
    """Why a server cannot listen, and which setting mends it."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EADDRINUSE, errno.EACCES, errno.EPERM):
        what = f"cannot listen on {host}:{port}: {os.strerror(number)}"
        return Finding(what, f"task.port={port}", fix="task.port=0 takes a free port")
    if isinstance(error, socket.gaierror):
        why = f"no host is known by that name ({error.strerror})"
    elif isinstance(error, UnicodeError):
        why = "no host can have that name"
    else:
        why = os.strerror(number or errno.EADDRNOTAVAIL)
    fix = "task.host=127.0.0.1 listens for this machine alone, task.host=0.0.0.0 on all its addresses"
    return Finding(f"cannot listen on {host}:{port}: {why}", f"task.host={host}", fix=fix)


def rename_job(port: int) -> str:
    """Give this Slurm job the name that clients look for; what came of it, in a sentence, or "" outside Slurm."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return ""
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):  # whose number is one of its jobs' as well: that would rename all
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    name = f"piston-worker-{port}"
    try:
        subprocess.run(
            ["scontrol", "update", f"JobId={job}", f"JobName={name}"],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        return f"job {job} keeps its name, so PISTON_ENDPOINTS=slurm does not find it: {str(said).strip()}"
    return f"job {job} is now {name}; PISTON_ENDPOINTS=slurm finds it"
