"""From a program to the job that runs it, and from an execution to the outcome that it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from r1lab.sandbox.base import Limits, Outcome, Verdict
from r1lab.sandbox.job import Execution, Job
from r1lab.sandbox.languages import Language

LONGEST_NAME, LONGEST_PATH = 255, 4000  # bytes; the working folder is in the path as well
DEEPEST = 64  # parts of a path


def job_of(
    language: Language, files: Mapping[str, bytes], compiled: Execution | None, args: Sequence[str], stdin: bytes
) -> Job:
    """The job that runs a program of that language."""
    beside = {name: content for name, content in files.items() if not (compiled and name == language.file)}
    made = dict(compiled.collected) if compiled else {}
    argv = [*language.run, *args] if language.run else None
    return Job(argv, {**beside, **made}, stdin, args=args, stack=language.stack)


def allowed(language: Language, limits: Limits) -> Limits:
    """A program's limits, with the threads that its language's runtime starts for itself."""
    return replace(limits, processes=limits.processes + language.threads) if language.threads else limits


def outcome_of(done: Execution, verdict: Verdict | None = None, score: float = 0.0, detail: str = "") -> Outcome:
    """The outcome that an execution is; a verdict says more about one that went well."""
    if done.failure:
        return Outcome(Verdict.INFRASTRUCTURE, detail=done.failure)
    if verdict is None:
        verdict = {"time": Verdict.TIMEOUT, "wall time": Verdict.TIMEOUT, "memory": Verdict.MEMORY}.get(
            done.cause, Verdict.CRASHED
        )
    detail = detail or words_of(done)
    return Outcome(verdict, score, done.stdout.decode(errors="replace"), detail, done.seconds, done.memory)


def words_of(done: Execution) -> str:
    """The limit that was met, or how it ended, and the last of what it said."""
    ended = f"limit on {done.cause}" if done.cause else done.signal or (f"exit status {done.code}" if done.code else "")
    said = done.stderr[-2000:].decode(errors="replace").strip()
    return "\n".join(part for part in (ended, said) if part)


def text(content: str) -> bytes:
    """Text as bytes; what is no text (half a surrogate pair) becomes a question mark."""
    return content.encode("utf-8", "replace")


def checked(name: str) -> str:
    """A file's name, if it stays in the working folder and a file system takes it.

    Raises:
        ValueError: it does not.
    """
    path = PurePosixPath(name)
    if not name or "\0" in name or path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"the file name {name!r} leads out of the working folder")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the file name {name[:40]!r} is no text: half a surrogate pair is in it") from error
    if len(text(name)) > LONGEST_PATH or any(len(text(part)) > LONGEST_NAME for part in path.parts):
        raise ValueError(f"the file name {name[:40]!r}… is too long")
    if len(path.parts) > DEEPEST:
        raise ValueError(f"the file name {name[:40]!r}… lies {len(path.parts)} folders deep; {DEEPEST} may be")
    return str(path)


def apart(names: Iterable[str]) -> None:
    """Whether checked names can lie beside each other: none is a folder of another.

    Raises:
        ValueError: one is.
    """
    known = set(names)
    for name in known:
        place = name.find("/")
        while place >= 0:
            if name[:place] in known:
                raise ValueError(f"{name[:place]!r} is a file, and a folder in {name!r}")
            place = name.find("/", place + 1)
