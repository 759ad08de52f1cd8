"""One test as a request to Piston, and Piston's reply as the test's outcome."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from r1lab.errors import ConfigError, Finding
from r1lab.providers.remote import language_named
from r1lab.providers.verdicts import compared, ended_badly, refused
from r1lab.remote.retrying import Unavailable, tail
from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Outcome, Program, Submission, Test, Verdict
from r1lab.sandbox.task_settings import CONFIG

TAKEN = ("c++11", "c++14", "c++20")  # plain languages here, names of the package codeforces there
IOI, CODEFORCES = "cms_ioi", {"python": ("cf_python3", "main.py"), "c++": ("c++17", "main.cpp")}
IOI_GRACE, CODEFORCES_GRACE = 3.0, 10.0  # seconds that the packages' own scripts get beyond the time limit
OVERLOADED = re.compile(r"\A(\S+: (line \d+: )?fork: (retry: )?Resource temporarily unavailable\n?)+\Z")
BROKEN = ("Could not compile checker", "Could not compile manager", "Grader folder was not found")


@dataclass(frozen=True)
class Job:
    """A request and how its reply is read.

    Args:
        language: of Piston's.
        body: JSON.
        seconds: that the server may take for it at most.
        read: the outcome from a reply; raises `Unavailable` for one that says that the server failed.
    """

    language: str
    body: bytes
    seconds: float
    read: Callable[[Mapping[str, Any]], Outcome]


def job_of(submission: Submission, test: Test, limits: Limits) -> Job:
    """The request for one test."""
    if isinstance(submission, IOIProgram):
        return _ioi(submission, test, limits)
    if isinstance(submission, CodeforcesProgram):
        return _codeforces(submission, test, limits)
    return _plain(submission, test, limits)


def _job(language: str, files: Mapping[str, str], limits: Limits, wall: float, read: Any, **more: Any) -> Job:
    body = {
        "language": language,
        "version": "*",
        "files": [{"name": name, "content": content} for name, content in files.items()],
        "compile_timeout": math.ceil(2000 * limits.compile_seconds),
        "compile_cpu_time": math.ceil(1000 * limits.compile_seconds),
        "run_timeout": math.ceil(1000 * wall),
        "run_cpu_time": math.ceil(1000 * min(wall, more.pop("cpu", wall))),
        "run_memory_limit": limits.memory,
        **more,
    }
    return Job(language, json.dumps(body).encode(), 2 * limits.compile_seconds + wall, read)


def _plain(program: Program, test: Test, limits: Limits) -> Job:
    language = language_named(program.language)
    if language.name in TAKEN:
        what = f"on a Piston server {language.name} may be a name of the package codeforces, which reads other input"
        raise ConfigError([Finding(what, nearest="c++", fix="language c++ (Piston's own standard), or sandbox=local")])
    files = {language.file: program.source, **program.files}
    more = {"stdin": test.input, "args": list(program.args), "cpu": limits.seconds}
    return _job(language.name, files, limits, limits.wall_seconds, partial(read_plain, test, limits), **more)


def _ioi(program: IOIProgram, test: Test, limits: Limits) -> Job:
    task = program.task.lower()
    files = {f"graders/{task}.cpp": program.source, "input.txt": test.input}
    if test.output is not None:
        files["correct_output.txt"] = test.output
    files.update((name, content) for name, content in program.graders.items() if content)
    if CONFIG not in files:
        kind = "Communication" if "graders/manager.cpp" in files else "Batch"
        config = {"task_type": kind, "code": task, "time_limit": limits.seconds, "memory_limit": limits.memory}
        files[CONFIG] = json.dumps(config)
    return _job(IOI, files, limits, limits.seconds + IOI_GRACE, partial(read_score, test))


def _codeforces(program: CodeforcesProgram, test: Test, limits: Limits) -> Job:
    name = language_named(program.language).name
    if name not in CODEFORCES:
        what = f"Piston's package codeforces is asked for Python and C++ alone, not for {program.language}"
        raise ConfigError([Finding(what, fix=f"a submission in {' or '.join(CODEFORCES)}")])
    language, main = CODEFORCES[name]
    files = {main: program.source, "input.txt": test.input}
    if program.checker:
        files["checker.py"] = program.checker
    if test.output is not None:
        files["correct_output.txt"] = test.output
    memory = f"{limits.memory / 2**20:g}"
    config = {"TIME_LIMIT": f"{limits.seconds:g}", "MEMORY_LIMIT": memory, "INPUT_MODE": program.input_mode}
    files["grader_config"] = "\n".join(f"{key}={value}" for key, value in config.items())
    return _job(language, files, limits, limits.seconds + CODEFORCES_GRACE, partial(read_score, test))


def unknown_runtime(reply: Mapping[str, Any]) -> bool:
    """Whether a reply says that the server does not have the language."""
    return str(reply.get("message", "")).endswith(" runtime is unknown")


def limit_of(message: str) -> str:
    """What to do about a limit that a server does not grant."""
    found = re.match(r"(\w+) cannot exceed the configured limit of (\S+)", message)
    if not found:
        return ""
    return f" (start the server with PISTON_{found[1].upper()}=NUMBER, or set sandbox.limits below {found[2]})"


def stages(reply: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """The compile stage, where there is one, and the run stage of a reply.

    Raises:
        Unavailable: the reply has none, or says that the server failed.
    """
    if reply.get("message"):
        raise Unavailable(f"Piston says: {reply['message']}")
    compiled, ran = reply.get("compile"), reply.get("run")
    for stage in (compiled, ran):
        if stage is not None and (not isinstance(stage, Mapping) or "code" not in stage):
            raise Unavailable(f"Piston's reply cannot be read: {tail(json.dumps(reply), 300)}")
    failing = compiled is not None and (compiled["code"] != 0)
    if ran is None and not failing:
        raise Unavailable(f"Piston's reply has no run stage: {tail(json.dumps(reply), 300)}")
    last = compiled if failing else ran
    assert last is not None
    if last.get("status") == "XX" or (last["code"] != 0 and OVERLOADED.match(str(last.get("stderr") or ""))):
        raise Unavailable(f"the Piston server is overloaded: {tail(_said(last), 200)}")
    return compiled, last


def _said(stage: Mapping[str, Any]) -> str:
    return str(stage.get("stderr") or stage.get("message") or stage.get("stdout") or "").strip()


def _compiler(stage: Mapping[str, Any]) -> Outcome:
    """The outcome where compiling failed.

    Raises:
        Unavailable: it was not the submission that did not compile.
    """
    said = _said(stage)
    lines = said.splitlines()
    if lines and lines[-1].strip() in BROKEN:
        raise Unavailable(f"the task's own files do not compile: {tail(said, 500)}", again=False)
    late = stage.get("signal") == "SIGKILL" and stage.get("status") in (None, "TO")
    return refused(f"the compiler was stopped: too much time or memory\n{said}".strip() if late else said)


def measured(stage: Mapping[str, Any]) -> tuple[float, int]:
    """Seconds of processor time and bytes of memory, which newer versions tell; 0 where they are not told."""
    seconds, memory = stage.get("cpu_time"), stage.get("memory")
    return (
        float(seconds) / 1000 if isinstance(seconds, int | float) else 0.0,
        int(memory) if isinstance(memory, int | float) else 0,
    )


def read_plain(test: Test, limits: Limits, reply: Mapping[str, Any]) -> Outcome:
    """The outcome of a plain program.

    Raises:
        Unavailable: the server failed.
    """
    compiled, stage = stages(reply)
    if compiled is not None and compiled["code"] != 0:
        return _compiler(compiled)
    output, stderr = str(stage.get("stdout") or ""), str(stage.get("stderr") or "")
    seconds, memory = measured(stage)
    code, killer, status = stage["code"], stage.get("signal"), stage.get("status")
    if status in ("OL", "EL"):
        what = "it printed more than the server allows (PISTON_OUTPUT_MAX_SIZE)"
        return Outcome(Verdict.CRASHED, output=output, detail=what, seconds=seconds, memory=memory)
    if memory >= 0.98 * limits.memory > 0 and (code or killer):
        what = f"it used {memory >> 20} MiB of {limits.memory >> 20}"
        return Outcome(Verdict.MEMORY, output=output, detail=what, seconds=seconds, memory=memory)
    if status == "TO" or (killer == "SIGKILL" and status is None):  # older versions tell the signal alone
        what = f"it was stopped after {limits.seconds:g} s of processor time or {limits.wall_seconds:g} s in all"
        return Outcome(Verdict.TIMEOUT, output=output, detail=what, seconds=seconds, memory=memory)
    if killer or code != 0:
        how = f"signal {killer}" if killer else f"exit code {code}"
        return ended_badly(stderr, how, output=output, seconds=seconds, memory=memory)
    return compared(output, test, seconds=seconds, memory=memory)


def read_score(test: Test, reply: Mapping[str, Any]) -> Outcome:
    """The outcome of a contest submission: its package prints the score and, as its last words, why.

    Raises:
        Unavailable: the server failed, or the score is none.
    """
    compiled, stage = stages(reply)
    if compiled is not None and compiled["code"] != 0:
        return _compiler(compiled)
    output, words = str(stage.get("stdout") or "").strip(), str(stage.get("stderr") or "").strip()
    seconds, memory = measured(stage)
    reason = _reason(words)
    if not output and (stage.get("signal") == "SIGKILL" or stage.get("status") == "TO"):
        reason, output = Verdict.TIMEOUT, "0"
    elif not output and "MemoryError" in words:
        reason, output = Verdict.MEMORY, "0"
    elif test.output is None and reason is Verdict.WRONG and stage["code"] == 0:
        return Outcome(Verdict.PASSED, 1.0, output, seconds=seconds, memory=memory)  # nothing to compare with
    elif not output:
        raise Unavailable(f"the judge printed no score (exit code {stage['code']}): {tail(words, 500)}")
    try:
        score = float(output.split()[0])
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise Unavailable(f"the judge printed {tail(output, 100)!r} in the place of a score from 0 to 1", again=False)
    verdict = Verdict.PASSED if score == 1 else reason if score == 0 else Verdict.WRONG
    return Outcome(verdict, score, detail=tail(words), seconds=seconds, memory=memory)


def _reason(words: str) -> Verdict:
    """Why a contest submission has no point, from the judge's words."""
    last = words.splitlines()[-1] if words else ""
    if last.startswith("Time limit exceeded"):
        return Verdict.TIMEOUT
    if last.startswith("Memory limit exceeded"):
        return Verdict.MEMORY
    if last.startswith("Runtime error"):
        return ended_badly(words, "").verdict
    return Verdict.WRONG
