"""Jobs as Piston's clients send them, checked and read; and stages as Piston tells them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from r1lab.sandbox.base import Limits
from r1lab.sandbox.box import Execution
from r1lab.sandbox.jobs import apart, checked

MOST_FILES = 20_000
LEAST_MEMORY = 16 << 20  # bytes; with less, nothing starts


class BadJob(Exception):
    """A request that cannot be done; its message goes back with the status."""

    def __init__(self, message: str, status: int = 400):
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class Most:
    """The most that a request may ask for; what is 0 or less is not limited.

    Args:
        run_timeout, compile_timeout, run_cpu_time, compile_cpu_time: milliseconds.
        run_memory_limit, compile_memory_limit: bytes.
    """

    run_timeout: float = 60_000
    compile_timeout: float = 60_000
    run_cpu_time: float = 60_000
    compile_cpu_time: float = 60_000
    run_memory_limit: int = 4 << 30
    compile_memory_limit: int = 4 << 30


@dataclass(frozen=True)
class Request:
    """A job.

    Args:
        language, version: as asked for.
        files: name → content; the first is the program.
        args: of the program.
        stdin: its input.
        limits: of the run and of the compiler.
    """

    language: str
    version: str
    files: Mapping[str, bytes]
    args: tuple[str, ...]
    stdin: bytes
    limits: Limits


def read(body: Any, usual: Limits, most: Most) -> Request:
    """The job of a request's JSON.

    Args:
        body: parsed JSON.
        usual: the limits of what the request does not limit.
        most: what it may ask for.

    Raises:
        BadJob: with the words of Piston's API where it has some.
    """
    if not isinstance(body, dict):
        raise BadJob("the request must be a JSON object")
    language, version, files = body.get("language"), body.get("version"), body.get("files")
    for name, value in (("language", language), ("version", version)):
        if not value or not isinstance(value, str):
            raise BadJob(f"{name} is required as a string")
    if not isinstance(files, list):
        raise BadJob("files is required as an array")
    if len(files) > MOST_FILES:
        raise BadJob(f"files holds {len(files)} files; {MOST_FILES} may be")
    for number, item in enumerate(files):
        if not isinstance(item, dict) or not isinstance(item.get("content"), str):
            raise BadJob(f"files[{number}].content is required as a string")
    if not any(item.get("encoding") in (None, "", "utf8") for item in files):
        raise BadJob("files must include at least one utf8 encoded file")
    args, stdin = body.get("args") or [], body.get("stdin") or ""
    if not isinstance(args, list) or not all(isinstance(item, str | int | float) for item in args):
        raise BadJob("args must be an array of strings")
    if not isinstance(stdin, str):
        raise BadJob("stdin must be a string")
    words = tuple(encoded(str(item)).decode() for item in args)
    if any("\0" in word for word in words):
        raise BadJob("args must not hold the character NUL")
    return Request(str(language), str(version), _files(files), words, encoded(stdin), _limits(body, usual, most))


def encoded(text: str) -> bytes:
    """Text as bytes; half a surrogate pair, which JSON can hold, becomes a question mark."""
    return text.encode("utf-8", "replace")


def _files(items: list[dict[str, Any]]) -> dict[str, bytes]:
    """Name → content, the first text file, which is the program, first."""
    files: dict[str, bytes] = {}
    for number, item in enumerate(items):
        name = item.get("name") or f"file{number}.code"
        if not isinstance(name, str):
            raise BadJob(f"files[{number}].name must be a string")
        try:
            path = checked(name)
            if path in files:
                raise ValueError(f"the file name {path[:200]!r} is there twice")
            files[path] = _decoded(item["content"], item.get("encoding"))
        except ValueError as error:  # also what binascii raises
            raise BadJob(f"files[{number}]: {error}") from error
    lie_apart(files)
    first = next(item for item in items if item.get("encoding") in (None, "", "utf8"))
    main = checked(first.get("name") or f"file{items.index(first)}.code")
    return {main: files.pop(main), **files}


def lie_apart(names: Iterable[str]) -> None:
    """See `apart`.

    Raises:
        BadJob: one is a folder of another.
    """
    try:
        apart(names)
    except ValueError as error:
        raise BadJob(f"files: {str(error)[:400]}") from error


def beside(files: Mapping[str, bytes], program: str, made: str | None) -> None:
    """Check what lies beside the program, which is laid under its language's name, and beside what the compiler makes.

    Raises:
        BadJob: a file is in the way.
    """
    first, *others = files
    for name in (program, made):
        if name and name in others:
            raise BadJob(f"files: {name!r} is the program's own name; the program here is {first[:200]!r}")
        if name:
            lie_apart([name, *others])


def _decoded(content: str, encoding: Any) -> bytes:
    try:
        if encoding == "base64":
            return base64.b64decode(content, validate=False)
        if encoding == "hex":
            return bytes.fromhex(content)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the content is not {encoding}: {error}") from error
    return encoded(content)


def _limits(body: Mapping[str, Any], usual: Limits, most: Most) -> Limits:
    """The limits that a request asks for, within what it may."""
    asked: dict[str, float] = {}
    for kind in ("memory_limit", "timeout", "cpu_time"):
        for stage in ("compile", "run"):
            name = f"{stage}_{kind}"
            value, limit = body.get(name), getattr(most, name)
            if not value or (kind == "memory_limit" and value == -1):  # -1: as much as there is
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadJob(f"If specified, {name} must be a number")
            if value > limit > 0:
                raise BadJob(f"{name} cannot exceed the configured limit of {limit:g}")
            if not value >= 0:
                raise BadJob(f"{name} must be non-negative")
            if not value < 1e15:
                raise BadJob(f"{name} is beyond all measure")
            if name == "run_memory_limit" and value < LEAST_MEMORY:
                raise BadJob(f"{name} must be at least {LEAST_MEMORY}: with less, no program starts")
            asked[name] = value
    if body.get("run_memory_limit") == -1 and most.run_memory_limit > 0:
        asked["run_memory_limit"] = most.run_memory_limit
    wall = asked.get("run_timeout", 1000 * max(usual.wall_seconds, usual.seconds)) / 1000
    compiling = min(asked.get("compile_cpu_time", float("inf")), asked.get("compile_timeout", float("inf"))) / 1000
    return replace(
        usual,
        wall_seconds=wall,
        seconds=asked["run_cpu_time"] / 1000
        if "run_cpu_time" in asked
        else wall
        if "run_timeout" in asked
        else usual.seconds,
        memory=int(asked.get("run_memory_limit", usual.memory)),
        compile_seconds=compiling if compiling != float("inf") else usual.compile_seconds,
    )


def stage(done: Execution) -> dict[str, Any]:
    """How Piston tells what became of a stage; memory in bytes, times in milliseconds."""
    stdout, stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    status, message = _status(done)
    killed = status in ("TO", "OL") or done.cause == "memory"
    return {
        "stdout": stdout,
        "stderr": stderr,
        "output": stdout + stderr,
        "code": None if killed else done.code,
        "signal": "SIGKILL" if killed else done.signal,
        "memory": done.memory,
        "message": message,
        "status": status,
        "cpu_time": round(1000 * done.seconds),
        "wall_time": round(1000 * done.wall_seconds),
    }


def _status(done: Execution) -> tuple[str | None, str | None]:
    """The sandbox's status (TO, OL, SG, RE) and its words; None where all went well."""
    if done.cause in ("time", "wall time"):
        return "TO", "Time limit exceeded" + (" (wall clock)" if done.cause == "wall time" else "")
    if done.cause == "output":
        return "OL", "stdout length exceeded"
    if done.cause:
        return "SG" if done.signal or done.cause == "memory" else "RE", f"{done.cause.capitalize()} limit exceeded"
    if done.signal:
        return "SG", f"Caught fatal signal {done.signal}"
    return ("RE", f"Exited with error status {done.code}") if done.code else (None, None)
