"""The plan of one run: every finding, the resolved config and the facts that `dry_run=true` prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from r1lab.config.literal import literal
from r1lab.config.references import with_references
from r1lab.config.schema import Benchmark, Run
from r1lab.errors import ConfigError, Finding
from r1lab.plan.accelerators import check_accelerator, settle
from r1lab.plan.batch import batch_of, check_batch
from r1lab.plan.benchmarks import check_benchmarks
from r1lab.plan.cluster import check_cluster
from r1lab.plan.data import check_data
from r1lab.plan.decontaminate import check_decontamination, output_of
from r1lab.plan.distilabel import check_distilabel
from r1lab.plan.engine import check_engine
from r1lab.plan.extras import advice, check_extras
from r1lab.plan.facts import facts_of, steps_of
from r1lab.plan.fields import Where, check_fields
from r1lab.plan.filter import check_filter
from r1lab.plan.fitting import check_memory
from r1lab.plan.folder import check_folder
from r1lab.plan.generation import check_generation
from r1lab.plan.grpo import check_grpo
from r1lab.plan.hub import check_hub
from r1lab.plan.lighteval import check_lighteval
from r1lab.plan.model import check_model
from r1lab.plan.packages import check_packages
from r1lab.plan.parallel import settle_parallel
from r1lab.plan.places import Files, line_of
from r1lab.plan.places import where as place_of
from r1lab.plan.ranges import check_ranges
from r1lab.plan.ray import check_ray, ray_facts, settle_ray
from r1lab.plan.rescore import RESCORE, check_rescore
from r1lab.plan.rewards import check_inner
from r1lab.plan.sandbox import check as check_sandbox
from r1lab.plan.trackers import check_trackers, drop_unchosen_trackers
from r1lab.plan.trl_values import check_trl_values
from r1lab.plan.vllm_fields import drop_written_fields, write_fields
from r1lab.wording import nearest

__all__ = ["Plan", "plan", "require", "steps_of"]

OWNED = {  # fields of TRL's config that follow from r1lab's own words
    "output_dir": "outputs=FOLDER says where runs go",
    "seed": "seed=NUMBER is the run's",
    "report_to": "tracker=[wandb,mlflow] sends the metrics there",
    "push_to_hub": "hub=push pushes the model",
    "hub_model_id": "hub=push hub.repo=NAME says so",
    "hub_private_repo": "hub=push hub.private=true says so",
    "hub_revision": "hub=push hub.revision=NAME says so",
    "hub_strategy": "hub=push hub.checkpoints=true pushes checkpoints",
    "hub_token": "HF_TOKEN in the environment or .env says so",
    "resume_from_checkpoint": "resume=FOLDER goes on with a run",
    "use_cpu": "accelerator=cpu says so",
    "reward_weights": "reward.NAME.weight=NUMBER says so",
    "model_init_kwargs": "r1lab loads the model: model.dtype, model.attention, model.kernels",
    "disable_tqdm": "the progress bar follows the terminal",
    "overwrite_output_dir": "every run has its own folder",
}
DRY_RUNS = (True, False, "json", "full")


@dataclass
class Plan:
    """What one run will do.

    Attributes:
        cfg: the resolved config that the worker reads (no interpolation, no Hydra node).
        run_dir: the run's folder.
        findings: what is wrong or worth saying.
        facts: section → name → value, in printing order.
    """

    cfg: DictConfig
    run_dir: Path
    findings: list[Finding]
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the run."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def json(self) -> str:
        """The plan as JSON."""
        findings = [asdict(finding) for finding in self.findings]
        content = {"folder": str(self.run_dir), **self.facts, "findings": findings}
        return json.dumps(content, indent=2, default=str, ensure_ascii=False)


def plan(cfg: DictConfig, run_dir: Path, words: Sequence[str] = (), files: Callable[[], Files] = tuple) -> Plan:
    """Check and resolve one composed config.

    Args:
        cfg: the composed config, without Hydra's node; it is not changed.
        run_dir: the folder the run would write.
        words: the overrides as typed, to say where a fault was said.
        files: gives (package, file) of the composed files, likewise.
    """

    files = cache(files)

    def where(key: str) -> str:
        return place_of(key, words, files)

    cfg, findings = drop_unchosen(cfg, where, files)
    cfg, left = drop_unchosen_trackers(cfg, where)
    findings += left
    if faults := check_fields(cfg, where):
        return Plan(cfg, run_dir, findings + faults)
    cfg, written = drop_written_fields(cfg, where)
    findings += written
    resolved = resolve(cfg)
    findings += _check_run(resolved, where)
    findings += check_cluster(resolved, where)
    if resolved.task.name != "doctor":  # which says what is lacking itself
        findings += check_sandbox(resolved, where)
    if resolved.task.name == "ray":
        return Plan(resolved, run_dir, findings + check_ray(resolved, where), ray_facts(resolved))
    if resolved.task.get("folder") is False:
        return Plan(resolved, run_dir, findings, {"run": {"task": resolved.task.name}})
    findings += check_model(resolved, where)
    findings += check_inner(resolved, where)
    of_task = bool(resolved.task.get("prompt"))  # which says the prompt's column in the dataset's place
    if resolved.task.name != RESCORE:  # which reads no dataset
        findings += check_data(
            resolved, lambda key: where("task.prompt" if of_task and key == "dataset.prompt" else key)
        )
    findings += check_rescore(resolved, where)
    findings += check_decontamination(resolved, where)
    findings += check_filter(resolved, where)
    findings += check_benchmarks(resolved, where)
    findings += check_distilabel(resolved, where)
    findings += check_lighteval(resolved, where)
    findings += check_grpo(resolved, where)
    findings += check_generation(resolved, where)
    findings += check_engine(resolved, where)
    findings += check_accelerator(resolved, where)
    findings += check_packages(resolved, where)
    findings += check_trl_values(resolved, where)
    findings += check_hub(resolved, where)
    findings += check_trackers(resolved, where)
    if resolved.get("trainer"):
        findings += (faults := check_batch(resolved, where))
        if not faults and not any(finding.severity == "error" for finding in findings):
            findings += check_memory(resolved, where)
    findings += advice(resolved, where)
    lacking = check_folder(resolved, run_dir, where) + check_extras(resolved, where)
    if resolved.dry_run:  # the run may be meant for another machine
        lacking = [replace(finding, severity="warning") for finding in lacking]
    plan = Plan(resolved, run_dir, findings + lacking)
    if not plan.errors:
        plan.facts = facts_of(resolved, run_dir)
    return plan


def drop_unchosen(
    cfg: DictConfig, where: Where, files: Callable[[], Files] = tuple
) -> tuple[DictConfig, list[Finding]]:
    """The config without parameters of rewards that are not chosen, as an experiment's are when `reward=` is given.

    A chosen file that names no function is an error.
    """
    left = [name for name, reward in (cfg.get("reward") or {}).items() if not reward or not reward.get("_target_")]
    if not left or len(left) == len(cfg.reward):
        return cfg, []
    kept = cfg.copy()
    findings = []
    own = [file for package, file in files() if package == "reward"]
    for name in map(str, left):
        with open_dict(kept.reward):
            del kept.reward[name]
        if any(line_of(file, name) for file in own):
            what, fix = f"reward.{name} names no function", "_target_: PACKAGE.MODULE.FUNCTION"
            findings.append(Finding(what, where(f"reward.{name}"), fix=fix))
            continue
        what = f"reward.{name} is left out: that reward is not chosen"
        findings.append(Finding(what, where(f"reward.{name}"), fix=f"add {name} to reward=[…]", severity="warning"))
    return kept, findings


def resolve(cfg: DictConfig) -> DictConfig:
    """The config with interpolations replaced and r1lab's words written into TRL's fields."""
    resolved = OmegaConf.create(literal(OmegaConf.to_container(with_references(cfg), resolve=True)))
    assert isinstance(resolved, DictConfig)
    resolved.task.pop("reads", None)  # what was typed in vain is said of what was composed
    settle(resolved)
    if resolved.task.name == "ray":
        settle_ray(resolved)
    if resolved.get("benchmark"):
        only = resolved.task.get("only")
        kept = {only: resolved.benchmark[only]} if only in resolved.benchmark else resolved.benchmark
        resolved.benchmark = {name: {**asdict(Benchmark()), **item} for name, item in kept.items()}
    settle_parallel(resolved)
    if resolved.task.get("scores") is False:
        resolved.reward = {}
    if "output" in resolved.task:
        resolved.task.output = resolved.hub.repo or resolved.task.output or output_of(resolved)
        if resolved.hub.name != "none":
            resolved.hub.repo = resolved.task.output
    if resolved.task.get("prompt"):
        resolved.dataset.prompt = resolved.task.prompt
    trainer = resolved.get("trainer")
    if not trainer:
        resolved.trainer = None
        return resolved
    if "_target_" not in trainer:  # an experiment's, with a task that trains nothing but looks at it
        return resolved
    on_cpu = resolved.accelerator.device == "cpu"
    batch = batch_of(resolved)
    trainer.gradient_accumulation_steps = batch.accumulation
    write_fields(resolved)
    own = {"bfloat16": "bf16", "float16": "fp16"}.get(resolved.model.dtype)
    precision = resolved.accelerator.get("mixed_precision") or own
    trainer.setdefault("bf16", precision == "bf16")
    trainer.setdefault("fp16", precision == "fp16")
    trainer.setdefault("gradient_checkpointing", not on_cpu)
    trainer.setdefault("dataloader_pin_memory", not on_cpu)
    return resolved


def _check_run(cfg: DictConfig, where: Where) -> list[Finding]:
    findings = []
    if cfg.dry_run not in DRY_RUNS:
        findings.append(
            Finding(f"dry_run={cfg.dry_run} is not known", where("dry_run"), fix="true, full, json or false")
        )
    if not cfg.name or Path(cfg.name).is_absolute() or ".." in Path(cfg.name).parts:
        findings.append(Finding(f"name={cfg.name!r} is no folder under {cfg.outputs}", where("name"), fix="name=WORD"))
    for name in cfg.get("trainer") or {}:
        if name in OWNED:
            what = f"trainer.{name} is set by r1lab"
            findings.append(Finding(what, where(f"trainer.{name}"), fix=f"leave it out; {OWNED[name]}"))
    rewards = cfg.get("reward") or {}
    if cfg.task.name in ("grpo", "rft", "eval") and not rewards:
        what = f"task={cfg.task.name} needs at least one reward"
        findings.append(Finding(what, where("reward"), "reward=[accuracy,format]"))
    if cfg.task.name == "grpo" and rewards and not any(reward.get("weight", 1.0) for reward in rewards.values()):
        first = next(iter(rewards))
        what = "every reward has weight 0: there is nothing to learn"
        findings.append(Finding(what, where("reward"), fix=f"reward.{first}.weight=1"))
    if cfg.accelerator.device not in ("cpu", "cuda"):
        what = f"accelerator.device={cfg.accelerator.device} is not known"
        findings.append(Finding(what, where("accelerator.device"), fix="auto, cpu or cuda"))
    for key, known in (("failed", ("keep", "retry")), ("direction", (None, "maximize", "minimize"))):
        if (said := cfg.sweep[key]) not in known:
            words = [str(word) for word in known if word]
            close = nearest(str(said), words)
            what = f"sweep.{key}={said} is not known"
            findings.append(
                Finding(what, where(f"sweep.{key}"), f"sweep.{key}={close}" if close else "", " or ".join(words))
            )
    measured = [f"eval/{name}" for name in rewards]
    if cfg.objective not in [*measured, Run.objective] and (close := nearest(cfg.objective, measured)):
        what = f"objective={cfg.objective} is none of the rewards; the run may not measure it"
        findings.append(Finding(what, where("objective"), f"objective={close}", severity="warning"))
    if cfg.task.name == "eval":
        findings += _check_samples(cfg, where)
    return findings + check_ranges(cfg, where)


def _check_samples(cfg: DictConfig, where: Where) -> list[Finding]:
    """pass@k from fewer than k samples would be a guess; it is refused."""
    n, ks = max(cfg.task.n, 1), list(cfg.task.k)
    if odd := [k for k in ks if not isinstance(k, int) or k < 1]:
        return [
            Finding(f"task.k holds {odd[0]!r}; k is a whole number, 1 or more", where("task.k"), fix="task.k=[1,8]")
        ]
    most = max(ks, default=1)
    if most <= n:
        return []
    what = f"pass@{most} needs as many samples per problem; task.n is {n}"
    return [Finding(what, where("task.k"), fix=f"task.n={most} or task.k=[{n}]")]


def require(plan: Plan) -> Plan:
    """The plan itself, where nothing speaks against it.

    Raises:
        ConfigError: with the findings.
    """
    if plan.errors:
        raise ConfigError(plan.errors)
    return plan
