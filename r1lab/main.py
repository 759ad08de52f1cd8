"""`python -m r1lab`: check every word, plan every run, hand them to Hydra's launcher, say how they ended."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from r1lab import console
from r1lab.config.command import as_command, as_typed
from r1lab.config.compose import BASIC_LAUNCHER, register, session, using
from r1lab.config.experiments import CONF
from r1lab.errors import ConfigError, R1labError, RunError
from r1lab.launch import failed_runs
from r1lab.launch.again import next_try
from r1lab.launch.local import audit, launch
from r1lab.plan.checks import Plan
from r1lab.plan.pipeline_facts import PIPELINE
from r1lab.plan.request import Request, plan_job, plan_request, twins
from r1lab.plan.words import finding_of
from r1lab.runs.folder import RunFolder
from r1lab.runs.ledger import turn
from r1lab.runs.outcome import MACHINERY
from r1lab.runs.states import FINISHED
from r1lab.runs.sweeps import SweepLedger
from r1lab.wording import display


def main() -> None:
    """Entry of `python -m r1lab` and of the `r1lab` script. Exits 0, 1 (failed), 2 (refused) or 130 (interrupted)."""
    if sys.argv[1:] == ["--version"]:
        print(f"r1lab {version('r1lab')}")
        return
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a model said may be no text that this terminal can show
        sys.stdout.reconfigure(errors="backslashreplace")
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:  # as `python -m r1lab` has it: a user's package may stand here
        sys.path.insert(0, here)
    failed_runs.clear()
    arguments = get_args_parser().parse_intermixed_args()  # words before a flag are words too
    flags = [word for word in sys.argv[1:] if word not in arguments.overrides]
    looks = arguments.cfg or arguments.info
    try:
        with using(arguments.config_dir):
            if arguments.help or arguments.hydra_help or arguments.shell_completion:
                run_hydra(sys.argv[1:] if arguments.shell_completion else flags)
                sys.exit(0)
            request = check(arguments.overrides, arguments.config_dir, arguments.multirun)
            if looks:
                run_hydra([*flags, *request.words])
            elif request.dry_run:
                console.show_plans(request.plans, as_json=request.dry_run == "json")
                if request.sweep and request.dry_run != "json":
                    console.say_twins(twins(request.plans))
                if request.dry_run == "full":
                    run_audits(request)
            elif in_place(request):
                for plan in request.plans:
                    console.say_notes(plan)
                    run_in_place(plan.cfg)
            else:
                while request.sweep and not begin_sweep(request):
                    request = check(arguments.overrides, arguments.config_dir, arguments.multirun)
                run_hydra([*flags, *request.words])
                if request.sweep and request.plans[0].cfg.cluster.wait:
                    end_sweep(Path(request.sweep))
    except R1labError as error:
        console.show_error(error)
        sys.exit(error.exit_code)
    except (HydraException, OmegaConfBaseException) as error:
        console.show_error(ConfigError([finding_of(error)]))
        sys.exit(ConfigError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(min((getattr(error, "exit_code", 1) for error in failed_runs), default=0))


def run_hydra(arguments: Sequence[str]) -> None:
    """Hand a command line to Hydra, which composes, launches and calls `job`, or shows what it was asked to."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing, so that errors look alike
    sys.argv[1:] = arguments
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()


def check(words: Sequence[str], config_dir: str | None = None, multirun: bool = False) -> Request:
    """Plan every run that the words ask for.

    Raises:
        ConfigError: with the findings of all of them.
    """
    with session(config_dir):
        return plan_request(list(words), multirun)


def run_audits(request: Request) -> None:
    """Audit every planned run that trains.

    Raises:
        ConfigError: with what was found.
    """
    findings = [finding for plan in request.plans if plan.cfg.get("trainer") for finding in audit(plan.cfg)]
    console.show_audit([finding for finding in findings if finding.severity != "error"])
    if errors := [finding for finding in dict.fromkeys(findings) if finding.severity == "error"]:
        raise ConfigError(errors)


def in_place(request: Request) -> bool:
    """Whether the task runs in this process: it has no folder of its own, and no launcher puts it elsewhere.

    A pipeline runs here in any case; it is its stages that a queue gets.
    """
    task = request.plans[0].cfg.task
    return task.get("folder") is False and (request.launcher == BASIC_LAUNCHER or task.name == PIPELINE)


def run_in_place(cfg: DictConfig) -> None:
    """Run a task that writes no folder of its own, here and now."""
    module, _, name = str(cfg.task._target_).rpartition(".")
    getattr(import_module(module), name)(cfg)


def begin_sweep(request: Request) -> bool:
    """Note what the sweep is of, and say so where its folder is an earlier command's.

    False where another command was faster: then the plan is of a sweep that is not this command's to begin.
    """
    folder = Path(str(request.sweep))
    with turn(folder.parents[1]) if request.seen else nullcontext():
        if request.seen:
            if request.seen.overtaken():
                return False
            folder.mkdir(parents=True)
        if request.identity:
            SweepLedger(folder).begin(request.identity, as_typed())
    if request.again:
        console.say_again(folder, len(request.plans))
    console.say_twins(twins(request.plans))
    return True


def end_sweep(folder: Path) -> None:
    """Show the sweep's table, and note which run is the best."""
    if best := console.show_sweep(folder):
        SweepLedger(folder).pick(best)


def job(cfg: DictConfig) -> float | None:
    """One run, called by Hydra's launcher: returns the objective, for sweepers.

    Under the basic launcher a failed run is kept for the end, so that the rest of a sweep goes on.
    """
    hydra_cfg = HydraConfig.get()
    with using(own_folder(hydra_cfg)):
        return job_in(cfg, hydra_cfg)


def own_folder(hydra_cfg: HydraConf) -> str | None:
    """The folder that --config-dir named, which a process of a launcher's was not told otherwise."""
    sources = hydra_cfg.runtime.config_sources
    return next((str(source.path) for source in sources if source.provider == "command-line"), None)


def job_in(cfg: DictConfig, hydra_cfg: HydraConf) -> float | None:
    """`job`, where the user's own groups are known."""
    run_dir = Path(display(Path(hydra_cfg.runtime.output_dir)))
    try:
        plan = plan_job(cfg, run_dir, list(hydra_cfg.overrides.task))
        if plan.cfg.task.get("folder") is False:
            console.say_notes(plan)
            run_in_place(plan.cfg)
            return None
        words = list(hydra_cfg.overrides.task)
        if hydra_cfg.mode == RunMode.MULTIRUN and not cfg.resume and SweepLedger(run_dir.parent).words is not None:
            plan, metrics = run_of_sweep(plan, words)
        else:
            console.announce(plan)
            metrics = launch(plan.cfg, plan.run_dir, as_command(words))
    except R1labError as error:
        if hydra_cfg.launcher._target_ != BASIC_LAUNCHER:
            raise
        console.show_error(error)
        failed_runs.append(error)
        return float("nan")
    console.show_end(plan, metrics)
    return metrics.get(plan.cfg.objective)


def run_of_sweep(plan: Plan, words: Sequence[str]) -> tuple[Plan, dict[str, Any]]:
    """One run of a sweep, tried as often as it helps: its last plan and its metrics.

    Raises:
        RunError: it failed, or it had failed before by its own fault.
        UserError: it cannot run as asked.
    """
    tried = 0
    now = next_try(plan, words, asked=True)
    if not now.starts:
        if now.ended.state != FINISHED:
            raise RunError(f"{display(plan.run_dir)} {now.note}")
        console.note(plan.run_dir, now.note)
        return plan, RunFolder(plan.run_dir).read_json("metrics.json")
    while True:
        if now.note:
            console.note(now.plan.run_dir, now.note)
        console.announce(now.plan)
        try:
            return now.plan, launch(now.plan.cfg, now.plan.run_dir, as_command([*words, *now.changes]))
        except RunError as error:
            now = next_try(now.plan, words, asked=False, tried=tried, why=str(error))
            if not now.starts:
                raise
            tried += now.ended.fault == MACHINERY


register()
