"""Runs into Slurm's queue: write each one's folder, submit them as job arrays, wait for all of them or for none.

Everything was checked before this: what Slurm itself would refuse is found with `sbatch --test-only`, before the first
run is queued. A run's outcome is its own: whatever becomes of the others, it is told and kept.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig
from rich.markup import escape

from r1lab.config.command import as_command
from r1lab.errors import ConfigError, Finding, ResumeError, RunError
from r1lab.launch import failed_runs
from r1lab.launch.again import Next, next_try
from r1lab.plan.checks import Plan
from r1lab.plan.request import plan_submitted
from r1lab.runs.folder import TYPED, RunFolder
from r1lab.runs.ledger import turn
from r1lab.runs.outcome import MACHINERY, Outcome
from r1lab.runs.states import CANCELLED, FAILED, FINISHED, QUEUED, RUNNING, coloured
from r1lab.runs.sweeps import SweepLedger
from r1lab.slurm.commands import try_out
from r1lab.slurm.record import Submitted, given_up, hand_over, home, submitted
from r1lab.slurm.script import LOG, header, script
from r1lab.slurm.states import Status, in_queue, statuses, under_way
from r1lab.terminal import terminal
from r1lab.wording import display, plural

SOON, LATE = 1.0, 10.0  # seconds between two looks at the queue: when something has just happened, when nothing has
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
RANDOM_SWEEPER = "hydra_plugins.r1lab_random.RandomSweeper"
out = terminal()


def launch(config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Submit the runs of one batch of a sweep, and wait for them where `cluster.wait` says so.

    Args:
        config: as Hydra composed it, its own node included.
        job_overrides: the words of each run.
        first: the number of the first of them in the sweep.

    Returns:
        For each run its objective; NaN for one that failed, which `launch.failed_runs` then holds.

    Raises:
        ConfigError: something speaks against a run, or Slurm refuses the job: nothing was queued.
        ResumeError: the run that is to be resumed is in the queue: nothing was queued.
        SlurmError: Slurm does not answer.
    """
    sweep = Path(config.hydra.sweep.dir)
    typed = {first + number: list(words) for number, words in enumerate(job_overrides)}
    noted = home(Path(config.resume)) if config.resume else sweep
    ended: dict[Path, Status] = {}
    tried = dict.fromkeys(typed, 0)
    with turn(noted):  # the same command at the same time queues nothing twice
        plans = _planned(typed, sweep)
        _check_waiting(config, plans)
        cfg = next(iter(plans.values())).cfg
        known = {item.run: item for item in statuses(submitted(sweep))}  # from an earlier command
        rounds = {number: _looked_at(plan, typed[number], known, asked=True) for number, plan in plans.items()}
        jobs = [item for plan in plans.values() if (item := _still_there(plan, known))]
        earlier = len(jobs)
        starting = {number: now for number, now in rounds.items() if now.starts}
        jobs += queue(starting, typed, sweep)
    if cfg.cluster.parallel and earlier and starting:
        beside = f"{plural(earlier, 'run')} of earlier commands {'is' if earlier == 1 else 'are'} under way"
        out.print(f"       cluster.parallel={cfg.cluster.parallel} holds for these alone: {beside} beside them")
    while cfg.cluster.wait and jobs:
        ended |= {item.run.resolve(): item for item in wait(jobs)}
        with turn(noted):
            latest = {item.run: item for item in submitted(noted)}
            jobs = []
            for number, now in starting.items():
                end = ended[run := now.plan.run_dir.resolve()]
                if run not in latest or latest[run].job == end.job:
                    rounds[number] = _after(now, typed[number], end, tried[number])
                    tried[number] += rounds[number].ended.fault == MACHINERY
                else:
                    rounds[number] = replace(now, starts=False)
                    jobs.append(latest[run])
                    out.print(f"       {run.name} was queued again by another command: {latest[run].job}")
            starting = {number: now for number, now in rounds.items() if now.starts}
            jobs += queue(starting, typed, sweep)
    return [_result(now, typed[number], ended, cfg.cluster.wait) for number, now in rounds.items()]


def _planned(typed: Mapping[int, Sequence[str]], sweep: Path) -> dict[int, Plan]:
    """The plans of runs, each with what its last try changed."""
    ledger = SweepLedger(sweep)
    return {
        number: plan_submitted([*words, *ledger.changes(str(number))], sweep / str(number))
        for number, words in typed.items()
    }


def _looked_at(plan: Plan, words: Sequence[str], known: Mapping[Path, Status], asked: bool, tried: int = 0) -> Next:
    """What becomes of a run; one that is still in the queue stays there, and one of no sweep simply starts.

    Raises:
        ResumeError: it is still in the queue, and asked to go on with other words.
    """
    if asked and plan.cfg.resume and (item := under_way(plan.run_dir)):
        raise ResumeError(in_queue(item))
    if plan.cfg.resume or SweepLedger(plan.run_dir.parent).words is None:
        return Next(asked, plan)
    before = known.get(plan.run_dir.resolve())
    if before is not None and not before.over:
        return Next(False, plan, note=f"is {before.state}", ended=Outcome(before.state))
    why = before.why if before and before.state == FAILED else ""
    now = next_try(plan, words, asked, tried, why)
    if before and before.state == CANCELLED and now.starts and not now.note:
        now = replace(now, note="was cancelled before it began: it is queued anew")
    if now.note:
        out.print(f"       {escape(now.plan.run_dir.name)} {escape(now.note)}")
    return now


def _still_there(plan: Plan, known: Mapping[Path, Status]) -> Submitted | None:
    """The job of an earlier command that still has the run."""
    before = known.get(plan.run_dir.resolve())
    return Submitted(before.run, before.job) if before and not before.over and not plan.cfg.resume else None


def _after(now: Next, words: Sequence[str], item: Status, tried: int) -> Next:
    """What becomes of a run whose try has just ended."""
    if item.state != FAILED or item.slurm == "CANCELLED" or given_up(Submitted(item.run, item.job)):
        return replace(now, starts=False)
    return _looked_at(now.plan, words, {now.plan.run_dir.resolve(): item}, asked=False, tried=tried)


def _result(now: Next, words: Sequence[str], ended: Mapping[Path, Status], waited: bool) -> JobReturn:
    """A run's result for Hydra; a failed one goes to `launch.failed_runs`."""
    folder, objective = now.plan.run_dir, now.plan.cfg.objective
    item = ended.get(folder.resolve())
    if item is None and now.ended.state == FINISHED:
        return returned(words, RunFolder(folder).read_json("metrics.json").get(objective))
    if item is None:
        if not now.starts and now.ended.state not in (QUEUED, RUNNING):
            failed_runs.append(RunError(f"{display(folder)} {now.note}"))
            return returned(words, float("nan"))
        return returned(words, None)
    if waited and item.state != FINISHED:
        failed_runs.append(RunError(f"{display(item.run)}: {item.why}"))
    return returned(words, value_of(item, objective))


def queue(runs: Mapping[int, Next], typed: Mapping[int, Sequence[str]], sweep: Path) -> list[Submitted]:
    """Try out and submit the next tries of runs, and say so.

    Raises:
        ConfigError: Slurm refuses a job: nothing was queued.
        SlurmError: Slurm does not answer.
    """
    if not runs:
        return []
    plans = {number: now.plan for number, now in runs.items()}
    scripts = write_scripts(plans, sweep)
    for file in scripts:
        require_accepted(file, "override hydra/launcher=submitit_slurm")
    for number, now in runs.items():
        write_run(now.plan, [*typed[number], *now.changes])
    jobs = [item for file, group in scripts.items() for item in hand_over(file, group)]
    order = {plan.run_dir.resolve(): number for number, plan in enumerate(plans.values())}
    jobs.sort(key=lambda item: order[item.run.resolve()])
    say_submitted(jobs, sweep)
    return jobs


def require_accepted(script: Path, place: str) -> None:
    """Refuse a job that Slurm would refuse; nothing is queued.

    Raises:
        ConfigError: with Slurm's word for it.
        SlurmError: Slurm does not answer.
    """
    if fault := try_out(script):
        raise ConfigError([Finding(f"Slurm refuses the job: {fault}", place, fix=f"sbatch --test-only {script}")])


def _check_waiting(config: DictConfig, plans: dict[int, Plan]) -> None:
    """A sweeper that chooses runs by the results of others has to see them."""
    cluster = next(iter(plans.values())).cfg.cluster
    if not cluster.wait and config.hydra.sweeper._target_ not in (BASIC_SWEEPER, RANDOM_SWEEPER):
        what = "cluster.wait=false: this sweeper chooses runs by the results of others, so it has to wait for them"
        raise ConfigError([Finding(what, "override cluster.wait=false", "cluster.wait=true")])


def write_scripts(plans: dict[int, Plan], sweep: Path) -> dict[Path, dict[int, Path]]:
    """One script for all runs that ask Slurm for the same; each script with the runs of its array by index."""
    groups: dict[tuple[str, ...], dict[int, Plan]] = {}
    for index, plan in plans.items():
        own = plan.run_dir == sweep / str(index)  # else it goes on in the folder of an earlier run
        output = (sweep / "%a" if own else plan.run_dir).resolve() / LOG
        same = (*header(plan.cfg, output), str(plan.cfg.cluster.setup), str(plan.cfg.cluster.container))
        groups.setdefault(same, {})[index] = plan
    scripts: dict[Path, dict[int, Path]] = {}
    for group in groups.values():
        first, plan = next(iter(group.items()))
        own = plan.run_dir == sweep / str(first)
        folder = sweep.resolve() if own else plan.run_dir.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        run = f"{shlex.quote(str(folder))}/$SLURM_ARRAY_TASK_ID" if own else shlex.quote(str(folder))
        name = f"slurm-{first}.sh" if own else "slurm.sh"
        head = header(plan.cfg, (folder / "%a" if own else folder) / LOG)
        (folder / name).write_text(script(plan.cfg, head, group, run), encoding="utf-8")
        scripts[folder / name] = {index: item.run_dir for index, item in group.items()}
    return scripts


def write_run(plan: Plan, words: Sequence[str]) -> None:
    """The folder of a run that will be queued: its config, and what was typed."""
    folder = RunFolder(plan.run_dir)
    folder.write_config(plan.cfg)
    ended = folder.read_json("manifest.json").get("ended")  # of an earlier start, which says nothing of this one
    folder.write_json(TYPED, {"command": as_command(words), "ended": ended})


def say_submitted(jobs: Sequence[Submitted], sweep: Path) -> None:
    """Say which jobs there are now, and how to look at them and end them."""
    arrays = list(dict.fromkeys(item.job.partition("_")[0] for item in jobs))
    shown = display(sweep if len(jobs) > 1 else jobs[0].run)
    out.print(f"[bold]r1lab[/]  {plural(len(jobs), 'run')} in the queue as {escape(', '.join(arrays))}")
    out.print(f"       {escape(shown)}")
    say_look(shown)


def say_look(folder: str) -> None:
    """Say how to look at the jobs of a folder, and how to end them."""
    out.print(f"       look     python -m r1lab task=status task.run={escape(shlex.quote(folder))}")
    out.print(f"       cancel   python -m r1lab task=cancel task.run={escape(shlex.quote(folder))}")


def wait(jobs: Sequence[Submitted]) -> list[Status]:
    """Wait until every run is over, and say what happens to each when it happens; how they ended, in order.

    Raises:
        SlurmError: Slurm does not answer.
        KeyboardInterrupt: as the user asks; the runs go on.
    """
    before: dict[str, tuple[str, str]] = {}
    pause = SOON
    try:
        while True:
            now = statuses(jobs)
            stand = {item.job: (item.state, item.why if item.stuck else "") for item in now}
            news = [item for item in now if before.get(item.job) != stand[item.job]]
            for item in news:
                say_state(item, item.job not in before)
            before = stand
            if all(item.over for item in now):
                return now
            pause = SOON if news else min(pause * 1.5, LATE)
            time.sleep(pause)
    except KeyboardInterrupt:
        out.print("the runs go on; look at them or cancel them as said above")
        raise


def say_state(item: Status, first: bool) -> None:
    """One line about a run that has just changed its state, or waits for somebody to do something."""
    name = escape(f"{item.run.name} ({item.job})")
    if item.state == QUEUED and first and not item.stuck:
        return  # the table of a large sweep would scroll away
    where = f" on {item.nodes}" if item.state == RUNNING and item.nodes else ""
    why = f": {item.why}" if item.why else ""
    out.print(f"       {name} {coloured(item.state)}{escape(where)}{escape(why)}")


def value_of(item: Status, objective: str) -> float | None:
    """What a run that ended is worth to a sweeper."""
    return (item.metrics or {}).get(objective) if item.state == FINISHED else float("nan")


def returned(words: Sequence[str], value: float | None) -> JobReturn:
    """A run's result, as Hydra's sweepers read it."""
    done = JobReturn()
    done.overrides, done.status, done.return_value = list(words), JobStatus.COMPLETED, value
    return done
