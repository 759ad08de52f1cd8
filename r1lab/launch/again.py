"""A sweep's run that was tried before: left alone where it is done, else tried again in the way that helps.

The folder tells how the last try ended, the sweep's ledger what was tried. Nothing is tried again in silence: each try
is said, noted in the ledger, and from there in the run's manifest and the sweep's table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1lab.plan.batch import Batch, batch_of, smaller_batch
from r1lab.plan.checks import Plan
from r1lab.plan.request import plan_again
from r1lab.runs.folder import RunFolder
from r1lab.runs.outcome import MACHINERY, MEMORY, NOTHING, Outcome, outcome
from r1lab.runs.states import FINISHED, INTERRUPTED, WAITING
from r1lab.runs.sweeps import SweepLedger


@dataclass(frozen=True)
class Next:
    """What becomes of a run.

    Attributes:
        starts: whether there is another try.
        plan: of that try.
        changes: its words beside those typed.
        note: for the person at the terminal; "" for a run that simply starts.
        ended: how the last try ended.
    """

    starts: bool
    plan: Plan
    changes: Sequence[str] = ()
    note: str = ""
    ended: Outcome = NOTHING


def next_try(plan: Plan, words: Sequence[str], asked: bool, tried: int = 0, why: str = "") -> Next:
    """Look at a run that is planned into a sweep's folder, and make its folder ready for the next try.

    Args:
        plan: of the last try, or of the first one.
        words: as typed, of this run.
        asked: whether a person gave the command again; else the last try has just ended.
        tried: how often this command has tried it again for the machinery's sake.
        why: what others say of the last try's end, where the run could not write it.
    """
    ledger, run = SweepLedger(plan.run_dir.parent), plan.run_dir.name
    changes = ledger.changes(run)
    ended = outcome(RunFolder(plan.run_dir), why)
    cause = ended.cause.splitlines()[0] if ended.cause else ""
    if ended.state == FINISHED:
        return Next(False, plan, changes, "is done", ended)
    if asked and RunFolder(plan.run_dir).in_use():
        return Next(False, plan, changes, "is running: another command has begun it", ended)
    if ended.state in (WAITING, INTERRUPTED):
        note = "goes on where it was interrupted" if ended.state == INTERRUPTED else ""
        return Next(ended.state == WAITING or asked, plan, changes, note, ended)
    batch = _numbers(batch_of(plan.cfg)) if plan.cfg.get("trainer") else {}
    if ended.fault == MEMORY and (smaller := smaller_batch(plan.cfg)):
        ledger.note(run, ended, batch, smaller)
        ledger.set_aside(run)
        planned = plan_again([*words, *smaller], plan.run_dir)
        now = _numbers(batch_of(planned.cfg))
        said = " × ".join(map(str, now.values())), " × ".join(map(str, batch.values()))
        note = f"memory ran out: per device × accumulation is now {said[0]} (was {said[1]}), the same global batch"
        return Next(True, planned, smaller, note, ended)
    if ended.fault == MACHINERY and (asked or tried < plan.cfg.sweep.retries):
        ledger.note(run, ended, batch, changes)
        return Next(True, plan, changes, f"is tried again: {cause}", ended)
    if asked and plan.cfg.sweep.failed == "retry":
        ledger.note(run, ended, batch, changes)
        return Next(True, plan, changes, f"is tried again, as sweep.failed=retry says: {cause}", ended)
    return Next(False, plan, changes, f"failed before: {cause}; sweep.failed=retry tries it again", ended)


def _numbers(batch: Batch) -> dict[str, int]:
    return {"per_device_train_batch_size": batch.per_device, "gradient_accumulation_steps": batch.accumulation}
