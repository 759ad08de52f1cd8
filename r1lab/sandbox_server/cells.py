"""The router's side of the server: batches of scripts in, what a notebook would show of each out.

One reply serves the clients of both of Open-R1's routers: E2B's reads `execution`, Morph's reads `text`.

Source of the form: https://github.com/huggingface/open-r1, scripts/e2b_router.py and scripts/morph_router.py.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from r1lab.sandbox.base import Limits
from r1lab.sandbox.box import Execution
from r1lab.sandbox.local import Executed, LocalSandbox
from r1lab.sandbox_server.jobs import BadJob, encoded

CELL = Path(__file__).with_name("cell.py").read_bytes()
PYTHON = ("python", "python3", "py")


@dataclass(frozen=True)
class Batch:
    """Scripts to run.

    Args:
        scripts: (N,) sources.
        languages: (N,) of each.
        timeout: seconds for each.
    """

    scripts: tuple[str, ...]
    languages: tuple[str, ...]
    timeout: float


def read(body: Any, longest: float, most: int) -> Batch:
    """The batch of a request's JSON.

    Args:
        body: parsed JSON.
        longest: seconds that a script may have; more is cut to it.
        most: scripts that there is ever room for.

    Raises:
        BadJob: it is none.
    """
    if not isinstance(body, dict):
        raise BadJob("the request must be a JSON object")
    scripts = body.get("scripts")
    if not isinstance(scripts, list) or not all(isinstance(item, str) for item in scripts):
        raise BadJob("scripts is required as an array of strings")
    if len(scripts) > most:
        raise BadJob(f"{len(scripts)} scripts in one batch: there is never room for more than {most}", 413)
    languages = body.get("languages")
    if languages is None:
        languages = ["python"] * len(scripts)
    if not isinstance(languages, list) or not all(isinstance(item, str) for item in languages):
        raise BadJob("languages must be an array of strings")
    if len(languages) != len(scripts):
        raise BadJob(f"languages must name one for each script: {len(languages)} for {len(scripts)}")
    timeout = body.get("timeout") or 300
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < 1e15:
        raise BadJob("timeout must be a number of seconds above 0")
    return Batch(tuple(scripts), tuple(languages), min(float(timeout), longest))


def run(sandbox: LocalSandbox, script: str, language: str, timeout: float, usual: Limits) -> dict[str, Any]:
    """Run one script as a notebook's cell and tell what it showed.

    Raises:
        ConfigError: this machine has no such language.
    """
    limits = replace(usual, seconds=timeout, wall_seconds=timeout)
    if language.strip().lower() not in PYTHON:
        done = sandbox.execute(language, {"script": encoded(script)}, (), b"", limits)
        return _told(done, None, _text(done.run), limits)
    mark = secrets.token_hex(16)
    done = sandbox.execute("python", {"cell.py": CELL, "script.py": encoded(script)}, (mark,), b"", limits)
    stdout, _, last = _text(done.run).rpartition(f"\n{mark}")
    said = None
    if last.endswith("\n"):
        try:
            said = json.loads(last)
        except json.JSONDecodeError:  # the output was cut in the middle of it
            said = None
    return _told(done, said, stdout if said is not None else _text(done.run).partition(f"\n{mark}")[0], limits)


def _text(done: Execution | None) -> str:
    return done.stdout.decode(errors="replace") if done else ""


def _told(done: Executed, said: dict[str, Any] | None, stdout: str, limits: Limits) -> dict[str, Any]:
    """A script's part of the reply."""
    last = done.run or done.compile
    assert last is not None
    if last.failure:
        return failed(last.failure)
    if last.cause in ("time", "wall time"):
        return failed(f"the script was stopped after {limits.wall_seconds:g} s")
    if last.cause:
        return failed(f"the script met its limit on {last.cause}")
    stderr = last.stderr.decode(errors="replace")
    value = said["text"] if said else None
    error = said["error"] if said else None
    if error is None and (last.signal or last.code):
        ended = last.signal or f"exit status {last.code}"
        error = {"name": "ProcessError", "value": ended, "traceback": stderr}
    text = value if value is not None else stdout
    return {
        "execution": {
            "results": [{"text": value, "is_main_result": True}] if value is not None else [],
            "logs": {"stdout": [stdout] if stdout else [], "stderr": [stderr] if stderr else []},
            "error": error,
            "execution_count": 1,
        },
        "text": text if error is None else None,
        "exception_str": f"{error['name']}: {error['value']}" if error else None,
    }


def failed(cause: str) -> dict[str, Any]:
    """The reply for a script that did not come to its end."""
    return {"execution": None, "text": None, "exception_str": cause}
