"""Piston's packages cms_ioi and codeforces: their jobs by their file names, and their replies.

A job holds the submission, `input.txt`, perhaps `correct_output.txt`, and what the judge needs. The reply's stdout is
the score from 0 to 1 and its stderr the reason; without an expected output, stdout is what the program printed.

Source of the conventions: https://github.com/guipenedo/piston, packages/cms_ioi and packages/codeforces, 1.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Outcome, Test, Verdict
from r1lab.sandbox.contest import EXPECTED, INPUT
from r1lab.sandbox.task_settings import CONFIG, settings_of
from r1lab.sandbox_server.jobs import LEAST_MEMORY, BadJob, Most, Request, encoded

VERSION = "1.0.0"
PACKAGES = ("cms_ioi", "codeforces")
IOI = {"cms": "cms", "cms_ioi": "cms"}
STANDARDS = ("c++11", "c++14", "c++17", "c++20")
CODEFORCES = {"cf_python3": "python3", "cf_c++": "c++", **{f"cf_{name}": name for name in STANDARDS}}
SETTINGS = "grader_config"
MORE = 4.0  # times its time limit that a program may take in all, where the machine is busy


def runtimes() -> list[dict[str, Any]]:
    """The languages of both packages, as Piston lists them."""
    listed = [("cms", ["cms_ioi"], "cms_ioi")]
    listed += [(name, [alias], "codeforces") for alias, name in CODEFORCES.items()]
    return [
        {"language": name, "version": VERSION, "aliases": aliases, "runtime": package}
        for name, aliases, package in listed
    ]


def package_of(language: str, files: Mapping[str, bytes]) -> str | None:
    """The package that a job is for; None for a plain one.

    `c++17` is both a plain language and one of the package codeforces; the package's jobs bring their input as a file.
    """
    if language in IOI:
        return "cms_ioi"
    if language in CODEFORCES or (language in STANDARDS and (INPUT in files or SETTINGS in files)):
        return "codeforces"
    return None


def submission_of(job: Request, most: Most) -> tuple[IOIProgram | CodeforcesProgram, Test, Limits]:
    """What a contest job asks to be judged, within what a job may ask for.

    Raises:
        BadJob: a file is missing or cannot be read.
    """
    texts = {name: content.decode(errors="replace") for name, content in job.files.items()}
    if INPUT not in texts:
        raise BadJob(f"{job.language} needs the file {INPUT}")
    test = Test(texts.pop(INPUT), texts.pop(EXPECTED, None))
    if job.language in IOI:
        return _ioi(texts, test), test, _ioi_limits(texts, job.limits, most)
    name = CODEFORCES.get(job.language, job.language)
    source = next((content for other, content in texts.items() if other not in (SETTINGS, "checker.py")), None)
    if source is None:
        raise BadJob(f"{job.language} needs the submission as a file")
    settings = _settings(texts.get(SETTINGS, ""))
    mode = settings.get("INPUT_MODE", "stdio")
    language = "python" if name == "python3" else "cpp" if name == "c++" else name
    program = CodeforcesProgram(language, source, texts.get("checker.py"), mode if mode == "file" else "stdio")
    seconds, memory = _number(settings, "TIME_LIMIT"), _number(settings, "MEMORY_LIMIT")
    return program, test, _within(job.limits, most, seconds, memory and memory * 2**20)


def _ioi(texts: Mapping[str, str], test: Test) -> IOIProgram:
    task = str(_config(texts).get("code") or _task(texts))
    name = f"graders/{task}.cpp"
    if name not in texts:
        raise BadJob(f"cms_ioi needs the submission as {name}")
    graders = {other: content for other, content in texts.items() if other != name}
    try:
        settings_of({other: encoded(content) for other, content in graders.items() if content})
    except ValueError as error:
        raise BadJob(str(error)) from error
    if test.output is None:
        graders.pop("checker/checker.cpp", None)  # nothing to check: the output itself is asked for
    return IOIProgram(task, texts[name], graders)


def _ioi_limits(texts: Mapping[str, str], limits: Limits, most: Most) -> Limits:
    config = _config(texts)
    return _within(limits, most, _number(config, "time_limit"), _number(config, "memory_limit"))


def _config(texts: Mapping[str, str]) -> dict[str, Any]:
    try:
        return settings_of({CONFIG: encoded(texts[CONFIG])} if CONFIG in texts else {})
    except ValueError as error:
        raise BadJob(str(error)) from error


def _task(texts: Mapping[str, str]) -> str:
    """The task's name: that of its header, else of the first file, which is the submission."""
    headers = sorted(PurePosixPath(name).stem for name in texts if name.startswith("graders/") and name.endswith(".h"))
    named = [name for name in headers if name != "testlib"]
    if not named and not texts:
        raise BadJob("cms_ioi needs the submission as graders/TASK.cpp")
    return named[0] if named else PurePosixPath(next(iter(texts))).stem


def _settings(text: str) -> dict[str, str]:
    """The lines NAME=VALUE of a `grader_config`."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs if value}


def _number(settings: Mapping[str, Any], name: str) -> float | None:
    value = settings.get(name)
    if value in (None, "", "None"):
        return None
    try:
        number = float(str(value))
    except ValueError as error:
        raise BadJob(f"{name} must be a number, not {value!r}") from error
    if not 0 < number < 1e15:
        raise BadJob(f"{name} must be a number above 0, not {value!r}")
    return number


def _within(limits: Limits, most: Most, seconds: float | None, memory: float | None) -> Limits:
    """Limits of a contest: processor time as the task says, real time up to what the request allows.

    Neither these nor the task's memory go beyond what a job may ask for.
    """
    longest = [milliseconds / 1000 for milliseconds in (most.run_timeout, most.run_cpu_time) if milliseconds > 0]
    seconds = min(seconds or limits.seconds, limits.wall_seconds, *longest)
    wall = max(min(limits.wall_seconds, MORE * seconds), seconds)
    room = int(max(memory, LEAST_MEMORY) if memory else limits.memory)
    if most.run_memory_limit > 0:
        room = min(room, most.run_memory_limit)
    return replace(limits, seconds=seconds, wall_seconds=wall, memory=room)


def judged(submission: IOIProgram | CodeforcesProgram, test: Test) -> bool:
    """Whether somebody judges the output: else the reply is the output itself."""
    manager = isinstance(submission, IOIProgram) and "graders/manager.cpp" in submission.graders
    return test.output is not None or manager


def stages(outcome: Outcome, limits: Limits, has_judge: bool = True) -> dict[str, Any]:
    """The stages of a reply that tells a contest outcome. Both are there whatever happened; clients read both."""
    compiled = _stage("", "", 0)
    if outcome.verdict is Verdict.REFUSED:
        refused = _stage("", outcome.detail, 1)
        return {"compile": refused, "run": refused}
    score = f"{outcome.score:g}"
    told = {
        Verdict.PASSED: ("Output is correct", 0),
        Verdict.WRONG: ("Output is partially correct" if outcome.score else "Output isn't correct", 0),
        Verdict.TIMEOUT: (f"Time limit exceeded ({limits.seconds:g}s)", 124),
        Verdict.MEMORY: (f"Memory limit exceeded ({limits.memory >> 20}MB)", 134),
        Verdict.CRASHED: ("Runtime error with exit code", 1),
    }
    words, code = told[outcome.verdict]
    if outcome.verdict is Verdict.CRASHED:
        words = f"{words} {code}"
    if not has_judge and outcome.passed:
        return {"compile": compiled, "run": _stage(outcome.output, "", 0, outcome)}
    words = f"{outcome.detail}\n{words}".strip()
    return {"compile": compiled, "run": _stage(f"{score}\n", f"{words}\n", code, outcome)}


def _stage(stdout: str, stderr: str, code: int, outcome: Outcome | None = None) -> dict[str, Any]:
    return {
        "stdout": stdout,
        "stderr": stderr,
        "output": stdout + stderr,
        "code": code,
        "signal": None,
        "memory": outcome.memory if outcome else 0,
        "message": None,
        "status": "RE" if code else None,
        "cpu_time": round(1000 * outcome.seconds) if outcome else 0,
        "wall_time": None,
    }
