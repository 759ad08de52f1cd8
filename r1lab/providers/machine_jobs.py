"""Submissions as jobs for the harness: files, commands, inputs; and how what comes back is judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from r1lab.providers.remote import language_named
from r1lab.remote.retrying import Unavailable, tail
from r1lab.sandbox import task_settings
from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Program, Submission, Test, same_lines
from r1lab.sandbox.contest import COMPILE, EXPECTED, INPUT, MANAGER_WALL, OUTPUT
from r1lab.sandbox.jobs import text
from r1lab.sandbox.languages import Language

CHECKER = Limits(seconds=10, wall_seconds=20, memory=2 << 30, processes=64)


@dataclass(frozen=True)
class Check:
    """A judge's own program.

    Args:
        files: its source and what it includes.
        compile, run: its commands; the paths of input, expected output and output are added.
        full: the words that mean a right answer, where it prints no score.
    """

    files: Mapping[str, str]
    compile: Sequence[str]
    run: Sequence[str]
    full: tuple[str, ...] = ()

    def job(self, answers: Sequence[tuple[Test, str]]) -> dict[str, Any]:
        """The job that judges answers: (N,) tests, each with the program's output."""
        tests = [
            {"files": {INPUT: test.input, EXPECTED: test.output or "", OUTPUT: output}} for test, output in answers
        ]
        return _job(self.files, self.compile, [*self.run, INPUT, EXPECTED, OUTPUT], tests, CHECKER)

    def score(self, result: Mapping[str, Any]) -> float:
        """The score, 0 to 1, that the program gave; a program that breaks on an output finds it wrong.

        Raises:
            Unavailable: it could not be run, or what it printed is no score.
        """
        if "failure" in result:
            raise Unavailable(f"the checker's machine {result['failure']}", again=False)
        word = str(result["stdout"]).strip()
        if self.full:
            return float(word in self.full)
        if result["code"] != 0 or result["cause"]:
            return 0.0
        try:
            score = float(word.split()[0]) if word else math.nan
        except ValueError:
            score = math.nan
        if not 0 <= score <= 1:
            raise Unavailable(f"the checker printed {tail(word, 100)!r} in the place of a score", again=False)
        return score


@dataclass(frozen=True)
class Plan:
    """What is to be done with a submission.

    Args:
        job: for the harness.
        tests: (T,) that it runs.
        check: the judge's own program; None: outputs are compared here, by `same`.
        same: whether an output is as expected.
    """

    job: Mapping[str, Any]
    tests: Sequence[Test]
    check: Check | None = None
    same: Callable[[str, str], bool] = field(default=same_lines)


def plan_of(submission: Submission, tests: Sequence[Test], limits: Limits, stop: bool) -> Plan:
    """How a submission is run and judged.

    Args:
        stop: whether tests after one that did not end well are needed.

    Raises:
        ConfigError: no machine can run it.
        Unavailable: the task asks for what no task may have.
    """
    if isinstance(submission, IOIProgram):
        return _ioi(submission, tests, limits, stop)
    if isinstance(submission, CodeforcesProgram):
        return _codeforces(submission, tests, limits, stop)
    return _plain(submission, tests, limits, stop)


def _plain(program: Program, tests: Sequence[Test], limits: Limits, stop: bool) -> Plan:
    language = language_named(program.language)
    files = {language.file: program.source, **program.files}
    inputs = [{"stdin": test.input} for test in tests]
    return Plan(_job(files, language.compile, [*_command(language), *program.args], inputs, limits, stop), tests)


def _codeforces(program: CodeforcesProgram, tests: Sequence[Test], limits: Limits, stop: bool) -> Plan:
    language = language_named(program.language)
    by_file = program.input_mode == "file"
    given = [test.input.replace("\r\n", "\n") for test in tests]
    inputs: list[dict[str, Any]] = [{"files": {INPUT: text}} if by_file else {"stdin": text} for text in given]
    job = _job({language.file: program.source}, language.compile, _command(language), inputs, limits, stop)
    job["collect"] = OUTPUT if by_file else None
    if program.checker is None:
        return Plan(job, tests, same=_same_words)
    check = Check({"checker.py": program.checker}, (), ("python3", "checker.py"), ("1", "100"))
    return Plan(job, tests, check)


def _ioi(program: IOIProgram, tests: Sequence[Test], limits: Limits, stop: bool) -> Plan:
    graders = {name: content for name, content in program.graders.items() if content}
    try:
        settings = task_settings.settings_of({name: text(content) for name, content in graders.items()})
    except ValueError as error:
        raise Unavailable(str(error), again=False) from error
    files = {name: content for name, content in graders.items() if not task_settings.judges(name)}
    files[f"graders/{program.task}.cpp"] = program.source
    units = [f"graders/{name}.cpp" for name in (program.task, "grader", "stub")]
    compiler = (*COMPILE, "-DEVAL", "-s", *(name for name in units if name in files))
    job = _job(files, compiler, ["./program"], [{"stdin": test.input} for test in tests], limits, stop)
    manager = "graders/manager.cpp"
    if manager in graders and task_settings.communicates(settings):
        job["manager"] = {
            "files": _with_headers(graders, manager),
            "compile": [*COMPILE, "-Ichecker", "-Igraders", manager],
            "run": ["./program"],
            "args": str(settings.get(task_settings.MANAGER_WORDS, "")).split(),
            "processes": settings.get(task_settings.PROCESSES, 1),
            "by_name": settings.get(task_settings.BY_NAME, "std_io") == "fifo_io",
            "limits": {"seconds": CHECKER.seconds, "wall_seconds": limits.wall_seconds + MANAGER_WALL},
        }
    source = "checker/checker.cpp"
    if source not in graders:
        return Plan(job, tests, same=_same_but_for_blanks)
    checker = Check(_with_headers(graders, source), (*COMPILE, "-Ichecker", "-Igraders", source), ("./program",))
    return Plan(job, tests, checker)


def _with_headers(graders: Mapping[str, str], source: str) -> dict[str, str]:
    """A judge's own source and the headers that lie around."""
    return {name: content for name, content in graders.items() if name == source or name.endswith((".h", ".hpp"))}


def score_of(printed: str) -> float | None:
    """The score, 0 to 1, that a judge's own program printed first; None where it printed none."""
    words = printed.split()
    try:
        score = float(words[0]) if words else math.nan
    except ValueError:
        return None
    return None if math.isnan(score) else min(1.0, max(0.0, score))


def _command(language: Language) -> list[str]:
    return list(language.run) or ["python3", language.file]


def _job(
    files: Mapping[str, str],
    compiler: Sequence[str],
    command: Sequence[str],
    tests: Sequence[Mapping[str, Any]],
    limits: Limits,
    stop: bool = False,
) -> dict[str, Any]:
    compiling = Limits(
        seconds=limits.compile_seconds,
        wall_seconds=2 * limits.compile_seconds,
        memory=max(2 << 30, limits.memory),
        processes=256,
        open_files=1024,
        file_size=256 << 20,
    )
    return {
        "files": dict(files),
        "compile": list(compiler),
        "run": list(command),
        "tests": list(tests),
        "limits": asdict(limits),
        "compile_limits": asdict(compiling),
        "stop": stop,
    }


def _same_words(output: str, expected: str) -> bool:
    """Codeforces without a checker: word by word, yes and no without case."""

    def folded(text: str) -> list[str]:
        return [word.upper() if word.lower() in ("yes", "no") else word for word in text.split()]

    return folded(output) == folded(expected)


def _same_but_for_blanks(output: str, expected: str) -> bool:
    """IOI without a checker: as `diff -b`, but for empty lines at the end."""

    def lines(text: str) -> list[str]:
        return [
            " ".join(line.split()) if line[:1].strip() else f" {' '.join(line.split())}" for line in text.split("\n")
        ]

    def stripped(found: list[str]) -> list[str]:
        while found and not found[-1].strip():
            found.pop()
        return found

    return stripped(lines(output)) == stripped(lines(expected))
