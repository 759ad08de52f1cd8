"""What a run asks of its devices: kinds and stages that exist, processes that can be started, GPUs that are there."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan import hardware
from r1lab.plan.batch import world_of
from r1lab.plan.devices import GPUS, known
from r1lab.plan.fields import Where
from r1lab.wording import nearest, plural, some

DRY = (True, "json", "full")  # words for a plan that starts nothing
KINDS = ("single", "ddp", "zero", "fsdp")
PRECISIONS = ("no", "bf16", "fp16")


def check_accelerator(cfg: DictConfig, where: Where) -> list[Finding]:
    """Words and numbers that no accelerator has, and processes or GPUs that this machine cannot give.

    What only this machine lacks is a warning in a dry run, which may be for another one.
    """
    accelerator = cfg.accelerator
    findings = _check_words(accelerator, where)
    for name in ("processes", "nodes", "gpus"):
        value = accelerator.get(name)
        if value is not None and value < 1:
            what = f"accelerator.{name}={value} is out of range"
            findings.append(Finding(what, where(f"accelerator.{name}"), f"accelerator.{name}=1"))
    if findings:
        return findings
    if accelerator.gpus and accelerator.processes > accelerator.gpus and accelerator.device != "cpu":
        what = f"accelerator.processes={accelerator.processes}: a node has {plural(accelerator.gpus, 'GPU')}"
        close = f"accelerator.processes={accelerator.gpus}"
        findings.append(Finding(what, where("accelerator.processes"), close, "or accelerator.gpus=NUMBER"))
    severity = severity_here(cfg)
    processes = world_of(accelerator)
    if processes != 1:
        several = "nodes" if accelerator.processes == 1 else "processes"
        what = f"accelerator.{several}={accelerator[several]}: this version trains in one process"
        place = where(f"accelerator.{several}")
        findings.append(Finding(what, place, f"accelerator.{several}=1", "dry_run=true plans it", severity))
    elif accelerator.kind in ("zero", "fsdp"):
        what = f"accelerator.kind={accelerator.kind}: this version trains in one process, without sharding"
        close = "accelerator.kind=single accelerator.stage=0"
        findings.append(Finding(what, where("accelerator.kind"), close, "dry_run=true plans it", severity))
    elif accelerator.device == "cuda" and not hardware.gpus() and cfg.cluster.kind == "local":
        what = "accelerator.device=cuda: this machine has no GPU that is visible"
        findings.append(Finding(what, where("accelerator.device"), "accelerator=auto", severity=severity))
    return findings


def severity_here(cfg: DictConfig) -> str:
    """How bad it is that this machine lacks something: a dry run may be for another one."""
    return "warning" if cfg.dry_run in DRY else "error"


def _check_words(accelerator: DictConfig, where: Where) -> list[Finding]:
    findings = []
    for name, valid in (("kind", KINDS), ("mixed_precision", PRECISIONS)):
        value = accelerator.get(name)
        if value is not None and value not in valid:
            close = nearest(str(value), valid)
            nearby = f"accelerator.{name}={close}" if close else ""
            what = f"accelerator.{name} does not know {value!r}"
            findings.append(Finding(what, where(f"accelerator.{name}"), nearby, f"one of: {', '.join(valid)}"))
    stages = (1, 2, 3) if accelerator.kind == "zero" else (0,)
    if accelerator.stage not in stages and accelerator.kind in KINDS:
        what = f"accelerator.stage={accelerator.stage} is no stage of kind {accelerator.kind}"
        close = f"accelerator.stage={min(stages, key=lambda stage: abs(stage - accelerator.stage))}"
        findings.append(Finding(what, where("accelerator.stage"), close))
    if accelerator.get("gpu") and not known(str(accelerator.gpu)) and not accelerator.get("gpu_memory"):
        close = nearest(str(accelerator.gpu).lower(), GPUS)
        what = f"accelerator.gpu={accelerator.gpu} is none whose numbers are known"
        fix = f"accelerator.gpu_memory=GIB, or one of: {some(GPUS, 24)}"
        findings.append(Finding(what, where("accelerator.gpu"), f"accelerator.gpu={close}" if close else "", fix))
    return findings
