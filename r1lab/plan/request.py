"""What a command line asks for: one run, a resumed one, or a sweep; each planned before any starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from r1lab.config.compose import BASIC_LAUNCHER, SLURM, SLURM_LAUNCHER, compose_words, session
from r1lab.config.groups import composed_files
from r1lab.errors import ConfigError, Finding
from r1lab.plan.checks import Plan, plan, require
from r1lab.plan.cluster import check_array, check_evaluations, with_cluster
from r1lab.plan.pipeline import plan_pipeline
from r1lab.plan.pipeline_facts import PIPELINE, pipeline_facts
from r1lab.plan.places import where
from r1lab.plan.resumed import plan_resumed, words_for_hydra
from r1lab.plan.words import check_words, finding_of, parse, values_of
from r1lab.runs.folder import RunFolder
from r1lab.runs.resume import check_resume
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
    """

    plans: list[Plan]
    words: list[str] = field(default_factory=list)
    sweep: str | None = None
    dry_run: bool | str = False
    launcher: str = BASIC_LAUNCHER


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
    first, hydra_cfg = composed = composed_or_refused(jobs[0])
    multirun = multirun or hydra_cfg.mode == "RunMode.MULTIRUN"
    if len(jobs) > 1 and not multirun:
        raise ConfigError([_without_multirun(override) for override in sweeps_of(words)])
    plans: list[Plan] = []
    faults: dict[Finding, list[str]] = {}
    if odd := check_launcher(hydra_cfg.launcher, first.cluster.kind, len(jobs), words):
        raise ConfigError(odd)
    if odd := check_evaluations(first, check_words, partial(where, overrides=words)):
        raise ConfigError(odd)
    for number, job in enumerate(jobs[:MOST_PLANNED]):
        folder = Path(hydra_cfg.sweep_dir) / str(number) if multirun else None
        try:
            plans.append(with_stages(plan_words(job, folder, None if number else composed), job))
            new = plans[-1].errors
            _planned[_key(job)] = plans[-1]
        except ConfigError as error:
            new = error.findings
        for finding in new:
            faults.setdefault(finding, []).append(", ".join(swept(job, words)))
    if faults:
        raise ConfigError([_of_runs(finding, runs) if len(jobs) > 1 else finding for finding, runs in faults.items()])
    sweep = [f"hydra.sweep.dir='{hydra_cfg.sweep_dir}'"] if multirun else []  # not a later second's than was planned
    where_to = hydra_cfg.sweep_dir if multirun else None
    return Request(plans, [*words, *sweep], where_to, first.dry_run, hydra_cfg.launcher)


def check_launcher(launcher: str, kind: str, runs: int, words: Sequence[str]) -> list[Finding]:
    """Whether Hydra's launcher and the cluster mean the same place, and whether all runs fit into the queue's array."""
    queued = launcher == SLURM_LAUNCHER
    if queued != (kind == "slurm"):
        place = where("hydra/launcher" if queued else "cluster.kind", words)
        what = f"cluster.kind={kind}, and hydra/launcher is {'Slurm' if queued else 'another'}'s"
        return [Finding(what, place, "cluster=slurm" if queued else f"hydra/launcher={SLURM}")]
    if queued and (named := value_of(words, "hydra.sweep.subdir")):
        what = f"hydra.sweep.subdir={named}: in a queue, a run's folder is named by its number"
        return [Finding(what, where("hydra.sweep.subdir", words), fix="leave it out; hydra.sweep.dir names the sweep")]
    return check_array(runs) if queued else []


def _of_runs(finding: Finding, runs: list[str]) -> Finding:
    """A finding with the runs of a sweep that it is about."""
    others = f" and {plural(len(runs) - 1, 'other run')}" if len(runs) > 1 else ""
    return replace(finding, what=f"run {runs[0]}{others}: {finding.what}")


def _without_multirun(override: Override) -> Finding:
    word = str(override.input_line)
    key, _, value = word.partition("=")
    fix = f"add -m to run each; or, if it is one value, quote it: '{key}=\"{value}\"'"
    return Finding(f"{word} asks for several runs", f"override {word}", fix=fix)


def jobs_of(words: Sequence[str]) -> list[list[str]]:
    """The words of each run of a sweep, in the order they run; one for a plain command."""
    batches = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(list(words)), max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def sweeps_of(words: Sequence[str]) -> list[Override]:
    """The overrides that give several values."""
    return [override for override in parse(words)[0] if override.is_sweep_override()]


def swept(job: Sequence[str], words: Sequence[str]) -> list[str]:
    """The words of one run that another run of the sweep does not share."""
    keys = {override.key_or_group for override in sweeps_of(words)}
    return [word for word in job if word.lstrip("+~").partition("=")[0] in keys]


def value_of(words: Sequence[str], key: str) -> str | None:
    """The value a command line gives to a plain key; None where it gives none, or `null`."""
    said = [values_of(override) for override in parse(words)[0] if override.key_or_group == key]
    return str(said[-1][0]) if said and said[-1] and said[-1][0] not in (None, "") else None


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


def with_stages(planned: Plan, words: Sequence[str]) -> Plan:
    """A plan with what is to be said of its stages, where it is a pipeline's."""
    if planned.cfg.task.name == PIPELINE and not planned.errors:
        pipeline = plan_pipeline(planned.cfg, partial(where, overrides=words, files=partial(composed_files, words)))
        planned.findings += pipeline.findings
        planned.facts = pipeline_facts(pipeline)
        planned.run_dir = pipeline.folder
    return planned


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
    if not cfg.resume:
        return require(plan_fresh(cfg, run_dir, words))
    with session():
        return plan_resumed(Path(cfg.resume), words)


def plan_fresh(cfg: DictConfig, run_dir: Path, words: Sequence[str], with_files: bool = False) -> Plan:
    """Plan a run in `run_dir`; a folder that holds a run already is resumed if it is the same run.

    Args:
        cfg: the composed config.
        run_dir: the run's folder.
        words: the words that composed it.
        with_files: whether a `compose.session` is there to tell which files say what.
    """
    planned = plan(cfg, run_dir, words, partial(composed_files, words) if with_files else tuple)
    if not planned.errors and (run_dir / "run.yaml").is_file():
        old = RunFolder(run_dir).read_config()
        planned.findings += check_resume(old, planned.cfg, str(run_dir), partial(where, overrides=words))
    return planned
