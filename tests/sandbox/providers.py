"""E2B's and Morph's APIs on this machine, as their SDKs speak them; their "machines" are folders where commands run."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from r1lab.providers import morph

Failure = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Provider:
    """What both have in common: a key, machines that are there or gone, and failures that a test orders.

    Args:
        folder: where machines have their files.
    """

    key = "k3y-of-the-account"

    def __init__(self, folder: Path):
        self.folder = folder
        self.started: list[str] = []
        self.ended: list[str] = []
        self.failures: dict[str, list[Failure]] = {}  # a step → what happens there instead, in turn
        self.bodies: list[str] = []  # all text that was sent to machines
        self.most = 0  # machines at once

    def start(self) -> tuple[str, Path]:
        """A new machine."""
        name = f"machine{len(self.started)}"
        self.started.append(name)
        self.most = max(self.most, len(self.started) - len(self.ended))
        (self.folder / name).mkdir(parents=True)
        return name, self.folder / name

    async def fails(self, step: str, request: web.Request) -> web.StreamResponse | None:
        """The failure that was ordered for this step."""
        left = self.failures.get(step)
        return await left.pop(0)(request) if left else None


async def shell(command: list[str], folder: Path) -> tuple[int, str, str]:
    """Run a command; its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:  # whoever asked for it has gone
            process.kill()
            await process.wait()
    return process.returncode or 0, stdout.decode(), stderr.decode()


class E2B(Provider):
    """POST /v2/sandboxes, files by POST and GET /files, POST /execute with JSON lines, DELETE /sandboxes/ID."""

    created: list[dict[str, object]]

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.created = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        path = request.path
        if path in ("/v2/sandboxes", "/sandboxes") and request.method == "POST":
            if failed := await self.fails("create", request):
                return failed
            if request.headers.get("X-API-Key") != self.key:
                return web.json_response({"code": 401, "message": "Invalid API key"}, status=401)
            self.created.append(await request.json())
            name, _ = self.start()
            made = {"sandboxID": name, "templateID": "code", "clientID": "c", "envdVersion": "0.6.0"}
            return web.json_response(made, status=201)
        if path.startswith("/sandboxes/") and request.method == "DELETE":
            if failed := await self.fails("kill", request):
                return failed
            self.ended.append(path.rpartition("/")[2])
            return web.Response(status=204)
        machine = self.folder / request.headers.get("E2b-Sandbox-Id", self.started[-1])
        if path == "/files":
            return await self._files(request, machine)
        if path == "/execute":
            return await self.fails("execute", request) or await self._execute(request, machine)
        return web.Response(status=404)

    async def _files(self, request: web.Request, machine: Path) -> web.StreamResponse:
        target = machine / Path(request.query["path"]).name
        if request.method == "GET":
            return await self.fails("read", request) or web.Response(body=target.read_bytes())
        if failed := await self.fails("write", request):
            return failed
        async for part in await request.multipart():
            content = bytes(await part.read())  # type: ignore[union-attr]
            target.write_bytes(content)
            self.bodies.append(content.decode())
        return web.json_response([{"name": target.name, "type": "file", "path": request.query["path"]}])

    async def _execute(self, request: web.Request, machine: Path) -> web.StreamResponse:
        code = str((await request.json())["code"]).replace("/tmp/r1lab-", f"{machine}/r1lab-")
        self.bodies.append(code)
        status, stdout, stderr = await shell([sys.executable, "-c", code], machine)
        lines: list[dict[str, object]] = [{"type": "number_of_executions", "execution_count": 1}]
        lines += [{"type": "stdout", "text": stdout, "timestamp": 1}] if stdout else []
        lines += [{"type": "stderr", "text": stderr, "timestamp": 1}] if stderr else []
        if status:
            lines.append({"type": "error", "name": "CalledProcessError", "value": stderr[-200:], "traceback": stderr})
        return web.Response(text="".join(f"{json.dumps(line)}\n" for line in lines))


class Morph(Provider):
    """Snapshots and instances, commands by POST /instance/ID/exec."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.snapshots: list[dict[str, object]] = []
        self.commands: list[str] = []
        self.lives: list[object] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; the base URL ends with /api."""
        path = request.path.removeprefix("/api")
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"detail": "Invalid API key"}, status=401)
        if path == "/snapshot":
            return await self._snapshots(request)
        if path == "/instance":
            if failed := await self.fails("create", request):
                return failed
            self.lives.append((await request.json())["ttl_seconds"])
            name, _ = self.start()
            return web.json_response(self._instance(name, request.query["snapshot_id"]))
        name = path.split("/")[2]
        if request.method == "DELETE":
            if failed := await self.fails("kill", request):
                return failed
            self.ended.append(name)
            return web.Response(status=204)
        if path.endswith("/snapshot"):
            made = self._snapshot("made", request.query.get("digest") or (await request.json()).get("digest"))
            self.snapshots.append(made)
            return web.json_response(made)
        (command,) = (await request.json())["command"]
        step = "run" if "harness.py job" in command else "exec"
        return await self.fails(step, request) or await self._exec(command, self.folder / name)

    async def _snapshots(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            digest = request.query.get("digest")
            found = [item for item in self.snapshots if item["digest"] == digest]
            return web.json_response({"object": "list", "data": found})
        body = await request.json()
        assert body["image_id"] == "morphvm-minimal"
        return web.json_response(self._snapshot("bare", None))

    async def _exec(self, command: str, machine: Path) -> web.Response:
        self.commands.append(command)
        self.bodies.append(command)
        if "apt-get" in command:
            return web.json_response({"exit_code": 0, "stdout": "", "stderr": ""})
        assert len(command.encode()) < 128 << 10  # what Linux takes in one argument
        local = re.sub(rf"{morph.FOLDER}\b", str(machine / "r1lab"), command)
        status, stdout, stderr = await shell(["sh", "-c", local], machine)
        return web.json_response({"exit_code": status, "stdout": stdout, "stderr": stderr})

    @staticmethod
    def _snapshot(name: str, digest: object) -> dict[str, object]:
        spec = {"vcpus": 1, "memory": 1, "disk_size": 1}
        return {
            "id": name,
            "object": "snapshot",
            "created": 1,
            "status": "ready",
            "spec": spec,
            "refs": {"image_id": "i"},
            "digest": digest,
            "metadata": {},
        }

    @staticmethod
    def _instance(name: str, snapshot: str) -> dict[str, object]:
        return {
            "id": name,
            "object": "instance",
            "created": 1,
            "status": "ready",
            "spec": {"vcpus": 1, "memory": 1, "disk_size": 1},
            "refs": {"snapshot_id": snapshot, "image_id": "i"},
            "networking": {"http_services": []},
            "metadata": {},
        }
