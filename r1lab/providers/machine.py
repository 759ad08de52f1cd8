"""What the sandboxes on rented machines share: one machine a submission, all its tests in it, judged here.

A submission and its inputs go to a machine with `harness.py`; outputs come back and are compared here. A judge's own
program (a checker) needs the expected outputs, and runs on another machine.
"""

from __future__ import annotations

import asyncio
import binascii
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from r1lab.providers import harness, machine_jobs
from r1lab.providers.machine_jobs import Check, Plan
from r1lab.providers.remote import RemoteSandbox
from r1lab.providers.verdicts import ended_badly, failed, refused, stopped
from r1lab.remote.retrying import Unavailable, retried, tail
from r1lab.sandbox.base import Limits, Outcome, Submission, Test, Verdict

HARNESS = Path(__file__).with_name("harness.py").read_text(encoding="utf-8")
START = 90.0  # seconds that a machine may take to start, take in a job and give back what came of it
LONGEST = 3300.0  # seconds that a submission may keep a machine; providers grant an hour


class Machine(Protocol):
    """A machine that runs the harness."""

    async def harness(self, job: str, seconds: float) -> str:
        """Run `harness.py` on a job and return what it printed.

        Args:
            job: as `harness.unpacked` reads it.
            seconds: that it may take.

        Raises:
            Unavailable: it could not.
        """
        ...


@dataclass(eq=False)
class MachineSandbox(RemoteSandbox):
    """Runs each submission on a machine of its own; subclasses say whose machines.

    Args:
        max_sandboxes: machines at once.
    """

    max_sandboxes: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        self._free_machines: asyncio.Semaphore | None = None

    def _machine(self, seconds: float) -> AbstractAsyncContextManager[Machine]:
        """A machine that lives for at most so many seconds, and is given back whatever happens."""
        raise NotImplementedError

    async def _work(self, submission: Submission, tests: list[Test], limits: Limits, stop: bool) -> list[Outcome]:
        try:
            outcomes = await self._outcomes(machine_jobs.plan_of(submission, tests, limits, stop), limits)
        except Unavailable as failure:
            return [failed(failure.cause)] * len(tests)
        return stopped(outcomes) if stop else outcomes

    async def _outcomes(self, plan: Plan, limits: Limits) -> list[Outcome]:
        reply = await self._run(plan.job)
        if (compiled := reply.get("compile")) is not None:
            if compiled.get("failure"):
                raise Unavailable(f"the machine {compiled['failure']}", again=False)
            late = f"the compiler met its limit on {compiled['cause']}\n" if compiled["cause"] else ""
            return [refused(late + compiled["stderr"])] * len(plan.tests)
        outcomes = [_outcome(test, result, plan) for test, result in zip(plan.tests, reply["tests"], strict=False)]
        missing = len(plan.tests) - len(outcomes)
        if missing and all(item.verdict is Verdict.PASSED for item in outcomes):
            raise Unavailable("the machine did not run every test")
        cause = next((item for item in outcomes if item.verdict is Verdict.INFRASTRUCTURE), Outcome(Verdict.SKIPPED))
        outcomes += [cause] * missing
        return await self._checked(plan.check, plan.tests, outcomes) if plan.check else outcomes

    async def _checked(self, check: Check, tests: Sequence[Test], outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes with the scores that the judge's own program gives, on a machine of its own."""
        numbers = [number for number, item in enumerate(outcomes) if item.passed and tests[number].output is not None]
        if not numbers:
            return outcomes
        reply = await self._run(check.job([(tests[number], outcomes[number].output) for number in numbers]))
        if reply.get("compile") is not None:
            raise Unavailable(f"the task's checker does not compile: {tail(str(reply['compile']), 500)}", again=False)
        scored = list(outcomes)
        for number, result in zip(numbers, reply["tests"], strict=True):
            score = check.score(result)
            verdict = Verdict.PASSED if score == 1 else Verdict.WRONG
            words = tail(str(result.get("stderr", "")))
            scored[number] = replace(outcomes[number], verdict=verdict, score=score, detail=words)
        return scored

    async def _run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run a job on a machine, on another one where that fails.

        Raises:
            Unavailable: none did it.
        """
        if self._free_machines is None:
            self._free_machines = asyncio.Semaphore(self.max_sandboxes)
        limits = job["limits"]
        seconds = len(job["tests"]) * (limits["wall_seconds"] + 1) + START
        seconds += job["compile_limits"]["wall_seconds"] if job["compile"] else 0
        seconds = min(seconds, LONGEST)
        carried = harness.packed(job)
        free = self._free_machines

        async def once() -> dict[str, Any]:
            async with free:
                try:
                    async with asyncio.timeout(seconds + START):
                        async with self._machine(seconds + START) as machine:
                            return read(await machine.harness(carried, seconds))
                except TimeoutError as error:
                    raise Unavailable(f"the machine did not answer within {seconds + START:.0f} s") from error

        return await retried(once, self.tries)

    async def _free(self) -> None:
        self._free_machines = None


def read(printed: str) -> dict[str, Any]:
    """What the harness told, from all that came back.

    Raises:
        Unavailable: its line is not there, or is cut or broken.
    """
    lines = [line for line in printed.splitlines() if line.startswith(harness.MARK)]
    if not lines:
        raise Unavailable(f"the harness printed nothing that can be read: {tail(printed, 300)!r}")
    try:
        reply = harness.unpacked(lines[-1].removeprefix(harness.MARK))
        results = [reply["compile"]] if reply["compile"] else reply["tests"]
        wanted = {"code", "cause", "stdout", "stderr", "seconds", "memory"}
        if not all("failure" in item or wanted <= set(item) for item in results):
            raise ValueError("fields are missing")
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"the harness's line is broken: {error}") from error
    assert isinstance(reply, dict)
    return reply


def _outcome(test: Test, result: Mapping[str, Any], plan: Plan) -> Outcome:
    """The outcome of one test, before a checker has seen it."""
    if "failure" in result:
        return failed(f"the machine {result['failure']}")
    output, seconds, memory = result["stdout"], result["seconds"], result["memory"]
    told = {"output": output, "seconds": seconds, "memory": memory}
    if cause := result["cause"]:
        verdict = {"memory": Verdict.MEMORY, "output": Verdict.CRASHED}.get(cause, Verdict.TIMEOUT)
        return Outcome(verdict, detail=f"limit on {cause}\n{tail(result['stderr'])}".strip(), **told)
    if result["code"] != 0:
        how = f"exit code {result['code']}" if result["code"] > 0 else f"signal {-result['code']}"
        return ended_badly(result["stderr"], how, **told)
    if result.get("judged") and (plan.check is None or test.output is None):
        score = machine_jobs.score_of(output)
        if score is None:
            return failed(f"the task's manager printed no score: {tail(output, 100)!r}")
        verdict = Verdict.PASSED if score == 1 else Verdict.WRONG
        return Outcome(verdict, score, detail=tail(result["stderr"].strip()), seconds=seconds, memory=memory)
    if plan.check:
        return Outcome(Verdict.PASSED, 1.0, **told)
    right = test.output is None or plan.same(output, test.output)
    return Outcome(Verdict.PASSED if right else Verdict.WRONG, float(right), **told)
