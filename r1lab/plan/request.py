"""What a command line asks for: one run, a resumed one, or a sweep; each planned before any starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from r1lab.config.compose import compose_words
from r1lab.errors import ConfigError, Finding, ResumeError
from r1lab.plan.checks import Plan, plan, require
from r1lab.plan.places import some
from r1lab.plan.words import check_words, composed_files
from r1lab.runs.folder import RunFolder
from r1lab.runs.resume import LONGER, PLACE, check_resume

MOST_PLANNED = 256  # runs of a sweep that are planned before the first starts; each is planned again at its start


@dataclass
class Request:
    """The plans of a command line's runs. `sweep` is the folder of a multirun, `dry_run` the word given for it."""

    plans: list[Plan]
    sweep: str | None = None
    dry_run: bool | str = False
    words: list[str] = field(default_factory=list)


def plan_request(words: Sequence[str]) -> Request:
    """Plan every run of a command line, inside a `compose.session`.

    Raises:
        ConfigError: with the findings of all runs.
    """
    if resumed := value_of(words, "resume"):
        planned = plan_resumed(Path(resumed), words)
        return Request([planned], None, planned.cfg.dry_run, list(words))
    findings = check_words(words)
    if findings:
        raise ConfigError(findings)
    first, hydra_cfg = compose_words([word for word in jobs_of(words)[0] if not word.startswith("hydra.sweep")])
    is_sweep = len(jobs_of(words)) > 1 or hydra_cfg.mode == "RunMode.MULTIRUN"
    jobs = jobs_of(words)[:MOST_PLANNED]
    plans = [plan_words(job) for job in jobs]
    faults: list[Finding] = []
    for job, item in zip(jobs, plans, strict=True):
        label = f"{', '.join(swept(job, words))}: " if len(jobs) > 1 else ""
        new = [finding for finding in item.errors if all(finding.where != seen.where for seen in faults) or label]
        faults += [replace(finding, what=f"{label}{finding.what}") for finding in new]
    if faults:
        raise ConfigError(faults)
    return Request(plans, hydra_cfg.sweep_dir if is_sweep else None, first.dry_run, list(words))


def jobs_of(words: Sequence[str]) -> list[list[str]]:
    """The words of each run of a sweep, in the order they run; one for a plain command."""
    batches = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(list(words)), max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def swept(job: Sequence[str], words: Sequence[str]) -> list[str]:
    """The words of one run that another run of the sweep does not share."""
    return [word for word in job if word not in words]


def value_of(words: Sequence[str], key: str) -> str | None:
    """The value a command line gives to a plain key."""
    return next((word.partition("=")[2] for word in reversed(words) if word.startswith(f"{key}=")), None)


def plan_words(words: Sequence[str]) -> Plan:
    """Compose and plan one run, inside a `compose.session`."""
    cfg, hydra_cfg = compose_words(words)
    files = composed_files(hydra_cfg.runtime)
    return plan_fresh(cfg, Path(hydra_cfg.run_dir), words, files)


def plan_job(cfg: DictConfig, run_dir: Path, words: Sequence[str]) -> Plan:
    """Plan the run that Hydra composed, resumed where it asks for that.

    Raises:
        ConfigError: something speaks against it.
    """
    planned = plan_resumed(Path(cfg.resume), words) if cfg.resume else plan_fresh(cfg, run_dir, words)
    return require(planned)


def plan_fresh(cfg: DictConfig, run_dir: Path, words: Sequence[str], files: Sequence[tuple[str, Path]] = ()) -> Plan:
    """Plan a run in `run_dir`; a folder that holds a run already is resumed if it is the same run."""
    planned = plan(cfg, run_dir, words, files)
    if not planned.errors and (run_dir / "run.yaml").is_file():
        old = RunFolder(run_dir).read_config()
        planned.findings += check_resume(old, planned.cfg, str(run_dir))
    return planned


def plan_resumed(run_dir: Path, words: Sequence[str]) -> Plan:
    """Plan the run that a folder holds, with the words that may change about it.

    Raises:
        ConfigError: the folder holds no run, or the words would make it a different one.
    """
    place = f"override resume={run_dir}"
    try:
        old = RunFolder(run_dir).read_config()
    except ResumeError as error:
        siblings = sorted(str(path.parent) for path in run_dir.parent.glob("*/run.yaml"))
        raise ConfigError([Finding(str(error), place, siblings[-1] if siblings else "")]) from None
    new = old.copy()
    findings = []
    for override in OverridesParser.create().parse_overrides(list(words)):
        key = override.key_or_group
        if key.split(".")[0] not in (*PLACE, "hydra", "trainer") and OmegaConf.select(old, key) is None:
            what = f"{key} is not a word of the run in {run_dir}"
            allowed = f"a resumed run takes {some([*LONGER, 'accelerator.…'])}"
            findings.append(Finding(what, f"override {override.input_line}", fix=allowed))
        elif not key.startswith("hydra"):
            OmegaConf.update(new, key, override.value(), force_add=True)
    if findings:
        raise ConfigError(findings)
    new.resume = str(run_dir)
    planned = plan(new, run_dir, words)
    planned.findings += check_resume(old, planned.cfg, str(run_dir)) if not planned.errors else []
    return require(planned)
