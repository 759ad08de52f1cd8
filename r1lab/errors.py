"""What can go wrong, as a tree.

    R1labError
    ├── UserError            the request cannot run as asked; exit code 2, before anything starts
    │   ├── ConfigError      words, values or combinations that do not fit; carries findings
    │   ├── DataError        a dataset file or column that is missing, empty or broken
    │   └── ResumeError      a folder that cannot be resumed as asked
    ├── RunError             the run started and failed; exit code 1
    │   ├── RewardError      a reward broke its contract, or its machinery failed
    │   ├── EngineError      the server that makes completions does not answer, or serves another model
    │   ├── SandboxError     no program can be run safely here
    │   ├── HubError         something is not on the Hub yet
    │   ├── SlurmError       Slurm is not here, does not answer, or refuses
    │   └── StorageError     the disk is full, or the run's folder cannot be written or read
    ├── Requeue              the run's time is up; it goes on from a checkpoint; exit code 75
    └── ReportError          a folder that is not a run or a sweep

A `UserError` or `RunError` reaches the terminal as its message alone; anything else is a bug of r1lab or of a
library and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a request.

    Attributes:
        what: the fault in one sentence.
        where: the override or the file and line that said it.
        nearest: the nearest valid choice, if there is one.
        fix: what to type or change.
        severity: "error" refuses the run, "warning" is only said.
    """

    what: str
    where: str = ""
    nearest: str = ""
    fix: str = ""
    severity: str = "error"

    def text(self) -> str:
        """The finding on a few aligned lines, without styling."""
        rows = [("where", self.where), ("nearest", self.nearest), ("fix", self.fix)]
        return "\n".join([self.what, *(f"    {label:<9}{value}" for label, value in rows if value)])


class R1labError(Exception):
    """Root of every error that r1lab raises on purpose."""

    exit_code = 1


class UserError(R1labError):
    """The request cannot run as asked."""

    exit_code = 2


class ConfigError(UserError):
    """Findings about a composed or an uncomposable config."""

    def __init__(self, findings: list[Finding]):
        self.findings = findings
        super().__init__("\n".join(finding.text() for finding in findings))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[Finding]]]:
        return type(self), (self.findings,)  # a launcher's process hands it back pickled


class DataError(UserError):
    """A dataset that is missing, empty, broken, or lacks a column."""


class ResumeError(UserError):
    """A folder that holds no run, or a different one than asked for.

    Attributes:
        what: the fault.
        fix: what to do; "" where that is plain.
    """

    def __init__(self, what: str, fix: str = ""):
        self.what, self.fix = what, fix
        super().__init__(Finding(what, fix=fix).text())

    def __reduce__(self) -> tuple[type[ResumeError], tuple[str, str]]:
        return type(self), (self.what, self.fix)  # a launcher's process hands it back pickled


class RunError(R1labError):
    """The run started and could not finish."""


class RewardError(RunError):
    """A reward returned the wrong number of values, values that are not finite, or too many failures."""


class EngineError(RunError):
    """A server that makes completions does not answer, or serves another model than the run asks for."""


class SandboxError(RunError):
    """A sandbox that cannot be started or has gone."""


class HubError(RunError):
    """Something could not be pushed to the Hub; it is kept, and can be pushed later."""


class SlurmError(RunError):
    """Slurm is not on this machine, does not answer, or refuses what it was asked."""


class Requeue(R1labError):
    """The time that a queue gave the run is nearly up: a checkpoint is saved, and it goes on at the next start."""

    exit_code = 75  # EX_TEMPFAIL


class StorageError(RunError):
    """The run's folder cannot be written."""


class ReportError(R1labError):
    """The folder is neither a run nor a sweep."""

    exit_code = 2
