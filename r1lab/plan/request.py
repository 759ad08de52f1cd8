"""What a command line asks for: one run, a resumed one, or a sweep; each planned before any starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from r1lab.config.compose import BASIC_LAUNCHER, compose_words, session
from r1lab.config.experiments import user_folders
from r1lab.config.groups import composed_files
from r1lab.errors import ConfigError, Finding, ResumeError
from r1lab.plan.checks import Plan, plan, require
from r1lab.plan.cluster import check_evaluations, check_launcher, with_cluster
from r1lab.plan.draws import jobs_of, one_job_each, sweeps_of, swept
from r1lab.plan.pipeline_facts import with_stages
from r1lab.plan.places import where
from r1lab.plan.resumed import plan_resumed, words_for_hydra
from r1lab.plan.unread import check_unread
from r1lab.plan.words import check_words, finding_of, value_of
from r1lab.runs.config import PARTS
from r1lab.runs.folder import RunFolder
from r1lab.runs.resume import check_resume
from r1lab.runs.sweeps import Seen, SweepLedger, earlier, identity
from r1lab.slurm.record import noted
from r1lab.wording import plural

MOST_PLANNED = 256  # runs of a sweep that are planned before the first starts; each is planned again at its start

_planned: dict[tuple[str, ...], Plan] = {}  # of this command, by the words of each run


@dataclass
class Request:
    """The plans of a command line's runs.

    Attributes:
        plans: one, or one for each of a sweep's runs.
        words: what Hydra is to compose.
        sweep: the folder of a multirun.
        dry_run: the word given for it.
        launcher: the class of Hydra's that starts the runs.
        identity: what a sweep's command says of what it computes.
        again: whether the sweep's folder is that of an earlier command.
        seen: what stood there when a sweep was planned whose folder has its name from the time.
    """

    plans: list[Plan]
    words: list[str] = field(default_factory=list)
    sweep: str | None = None
    dry_run: bool | str = False
    launcher: str = BASIC_LAUNCHER
    identity: list[str] = field(default_factory=list)
    again: bool = False
    seen: Seen | None = None


def plan_request(words: Sequence[str], multirun: bool = False) -> Request:
    """Plan every run of a command line, inside a `compose.session`.

    Args:
        words: overrides as typed.
        multirun: whether `--multirun` was given.

    Raises:
        ConfigError: with the findings of all runs.
    """
    words = with_cluster(words)
    if resumed := value_of(words, "resume"):
        planned = plan_resumed(Path(resumed), words)
        kept = words_for_hydra(words)
        _, hydra_cfg = composed_or_refused(kept)
        many = hydra_cfg.mode == "RunMode.MULTIRUN"
        sweep = [f"hydra.sweep.dir='{hydra_cfg.sweep_dir}'"] if many else []
        where_to = hydra_cfg.sweep_dir if many else None
        return Request([planned], [*kept, *sweep], where_to, planned.cfg.dry_run, hydra_cfg.launcher)
    findings = check_words(words)
    if findings:
        raise ConfigError(findings)
    jobs = jobs_of(words)
    if not jobs:
        said = [str(override.input_line) for override in sweeps_of(words)]
        empty = [word for word in said if not jobs_of([word])]
        what = "a sweep over nothing has no run"
        raise ConfigError([Finding(what, f"override {word}", fix="at least one value") for word in empty])
    first, hydra_cfg = composed = composed_or_refused(jobs[0])
    asked = multirun or len(jobs) > 1  # else a single run is put into a queue, a new one each time
    if each := one_job_each(first, words):
        jobs, words = jobs_of(each), each
        first, hydra_cfg = composed = composed_or_refused(jobs[0])
    multirun = multirun or hydra_cfg.mode == "RunMode.MULTIRUN"
    if len(jobs) > 1 and not multirun:
        raise ConfigError([_without_multirun(override) for override in sweeps_of(words)])
    if odd := check_launcher(hydra_cfg.launcher, first.cluster.kind, len(jobs), words):
        raise ConfigError(odd)
    if odd := check_evaluations(first, check_words, partial(where, overrides=words)):
        raise ConfigError(odd)
    if not multirun:
        plans = plan_all(jobs, words, None, composed)
        return Request(plans, list(words), None, first.dry_run, hydra_cfg.launcher)
    told = identity(words, [override.key_or_group for override in sweeps_of(words)])
    told += [f"--config-dir {folder}" for folder in user_folders]
    folder = Path(hydra_cfg.sweep_dir)
    own = value_of(words, "hydra.sweep.dir")
    fresh = not asked or first.sweep.new or own
    try:
        before = None if fresh else earlier(folder.parent, told)
        if before is not None and not begun_otherwise(jobs, before):
            folder = before
        SweepLedger(folder).read()
        noted(folder)
    except ResumeError as error:
        other = "another hydra.sweep.dir" if fresh else "sweep.new=true begins another one beside it"
        raise ConfigError([Finding(error.what, "an earlier sweep", fix=f"{error.fix}; {other}")]) from None
    plans = plan_all(jobs, words, folder, composed)
    at = f"hydra.sweep.dir='{folder}'"  # not a later second's than was planned
    return Request(
        plans,
        [*words, at],
        str(folder),
        first.dry_run,
        hydra_cfg.launcher,
        told if asked else [],
        folder == before,
        None if own or folder == before else Seen(folder, None if fresh else told, before),
    )


def plan_all(
    jobs: Sequence[list[str]], words: Sequence[str], sweep: Path | None, composed: tuple[DictConfig, DictConfig]
) -> list[Plan]:
    """Plan every run of a command.

    Args:
        jobs: the words of each.
        words: those of the command.
        sweep: the folder of a multirun, whose ledger says what an earlier try of a run changed.
        composed: what the words of the first one compose.

    Raises:
        ConfigError: with the findings of all runs.
    """
    plans: list[Plan] = []
    faults: dict[Finding, list[str]] = {}
    for number, job in enumerate(jobs[:MOST_PLANNED]):
        folder = sweep / str(number) if sweep else None
        try:
            changed = [*job, *(SweepLedger(sweep).changes(str(number)) if sweep else [])]
            known = None if number or len(changed) > len(job) else composed
            plans.append(with_stages(plan_words(changed, folder, known), changed))
            new = plans[-1].errors
            _planned[_key(changed)] = plans[-1]
        except ConfigError as error:
            new = error.findings
        for finding in new:
            faults.setdefault(finding, []).append(", ".join(swept(job, words)))
    if faults:
        raise ConfigError([_of_runs(finding, runs) if len(jobs) > 1 else finding for finding, runs in faults.items()])
    return plans


def twins(plans: Sequence[Plan]) -> list[str]:
    """Which runs of a sweep are the same run as an earlier one, whatever their words: they count once, not twice."""
    said: list[str] = []
    told: dict[str, int] = {}
    for number, planned in enumerate(plans):
        if (first := told.setdefault(OmegaConf.to_yaml(planned.cfg), number)) != number:
            said.append(f"run {number} of the sweep is run {first} again, since its words mean the same")
    return said


def begun_otherwise(jobs: Sequence[list[str]], sweep: Path) -> bool:
    """Whether the same words meant something else when a sweep began: a file that they choose has changed since."""
    for number, job in enumerate(jobs[:MOST_PLANNED]):
        folder = sweep / str(number)
        if (folder / "run.yaml").is_file():
            planned = plan_words([*job, *SweepLedger(sweep).changes(str(number))], folder)
            return any(f"{folder} holds a different run" in finding.what for finding in planned.errors)
    return False


def _of_runs(finding: Finding, runs: list[str]) -> Finding:
    """A finding with the runs of a sweep that it is about."""
    others = f" and {plural(len(runs) - 1, 'other run')}" if len(runs) > 1 else ""
    return replace(finding, what=f"run {runs[0]}{others}: {finding.what}")


def _without_multirun(override: Override) -> Finding:
    word = str(override.input_line)
    key, _, value = word.partition("=")
    fix = f"add -m to run each; or, if it is one value, quote it: '{key}=\"{value}\"'"
    return Finding(f"{word} asks for several runs", f"override {word}", fix=fix)


def composed_or_refused(words: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """`compose_words`, with what is wrong as findings.

    Raises:
        ConfigError: the words do not compose.
    """
    try:
        return compose_words(words)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(check_words(words) or [finding_of(error)]) from error


def plan_words(
    words: Sequence[str], run_dir: Path | None = None, composed: tuple[DictConfig, DictConfig] | None = None
) -> Plan:
    """Compose and plan one run, inside a `compose.session`.

    Args:
        words: the words of one run.
        run_dir: its folder; if none is given, the one that its config names.
        composed: what the words compose, where that is known.

    Raises:
        ConfigError: the words do not compose.
    """
    cfg, hydra_cfg = composed or composed_or_refused(words)
    return plan_fresh(cfg, run_dir or Path(hydra_cfg.run_dir), words, with_files=True)


def plan_submitted(words: Sequence[str], run_dir: Path) -> Plan:
    """Plan a run that goes into a queue; as it was planned before, where it was.

    Args:
        words: the words of one run.
        run_dir: its folder, unless it is resumed.

    Raises:
        ConfigError: something speaks against it.
    """
    if resumed := value_of(words, "resume"):
        with session():
            return plan_resumed(Path(resumed), words)
    planned = _planned.get(_key(words))
    if planned is not None and planned.run_dir == run_dir:
        return require(planned)
    with session():
        return require(plan_words(words, run_dir))


def _key(words: Sequence[str]) -> tuple[str, ...]:
    """The words of a run without those about Hydra itself, which its launchers are not told."""
    return tuple(word for word in words if not word.startswith(("hydra.", "hydra/")))


def plan_job(cfg: DictConfig, run_dir: Path, words: Sequence[str]) -> Plan:
    """Plan the run that Hydra composed, resumed where it asks for that.

    Raises:
        ConfigError: something speaks against it.
    """
    if cfg.resume:
        with session():
            return plan_resumed(Path(cfg.resume), words)
    if changes := SweepLedger(run_dir.parent).changes(run_dir.name):
        return plan_again([*words, *changes], run_dir)
    return require(plan_fresh(cfg, run_dir, words))


def plan_again(words: Sequence[str], run_dir: Path) -> Plan:
    """Plan a sweep's run with words that were not typed.

    Raises:
        ConfigError: something speaks against it.
    """
    with session():
        return require(plan_words(words, run_dir))


def plan_fresh(cfg: DictConfig, run_dir: Path, words: Sequence[str], with_files: bool = False) -> Plan:
    """Plan a run in `run_dir`; a folder that holds a run already is resumed if it is the same run.

    Args:
        cfg: the composed config.
        run_dir: the run's folder.
        words: the words that composed it.
        with_files: whether a `compose.session` is there to tell which files say what.
    """
    planned = plan(cfg, run_dir, words, partial(composed_files, words) if with_files else tuple)
    planned.findings += check_unread(cfg, words)
    if not planned.errors and (run_dir / "run.yaml").is_file():
        old = RunFolder(run_dir).read_config(PARTS)
        planned.findings += check_resume(old, planned.cfg, str(run_dir), partial(where, overrides=words))
    return planned
