"""What a run asks of its devices: kinds and stages that exist, processes that can be started, GPUs that are there."""

from __future__ import annotations

from dataclasses import replace

from omegaconf import DictConfig

from r1lab import hardware
from r1lab.config.packages import EXTRAS, installed
from r1lab.errors import Finding
from r1lab.launch.roles import check_roles, nodes, server_gpus
from r1lab.plan.batch import world_of
from r1lab.plan.devices import GPUS, known
from r1lab.plan.fields import Where
from r1lab.wording import nearest, plural, some

DRY = (True, "json", "full")  # words for a plan that starts nothing
ELSEWHERE = (8, "h100")  # GPUs of a node, and which, that a run is planned for where this machine has none
KINDS = ("single", "ddp", "zero", "fsdp")
PRECISIONS = ("no", "bf16", "fp16")


def settle(cfg: DictConfig) -> None:
    """Fill in what a composed config leaves to the machine: the device, the GPUs, the kind and the processes.

    `auto` takes every GPU that is visible, else the CPU; a task that trains nothing takes one. Where this machine has
    no GPU, a kind for several is planned for a node of eight H100.
    """
    accelerator = cfg.accelerator
    here = hardware.gpus() if cfg.cluster.kind == "local" else cfg.cluster.gpus or 0
    if accelerator.device == "auto":
        accelerator.device = "cuda" if here else "cpu"
    on_gpus, trains = accelerator.device == "cuda", bool(cfg.get("trainer"))
    if on_gpus and accelerator.gpus is None:
        accelerator.gpus = here or (1 if accelerator.kind in ("auto", "single") else ELSEWHERE[0])
    if on_gpus and not here and not accelerator.gpu and not accelerator.gpu_memory:
        accelerator.gpu = ELSEWHERE[1]
    if accelerator.processes is None:
        each = accelerator.gpus - server_gpus(cfg) if on_gpus and accelerator.kind != "single" and trains else 1
        accelerator.processes = max(1, each)
    if accelerator.kind == "auto":
        accelerator.kind = "ddp" if accelerator.processes * accelerator.nodes > 1 else "single"


def check_accelerator(cfg: DictConfig, where: Where) -> list[Finding]:
    """Words and numbers that no accelerator has, and processes or GPUs that this machine cannot give.

    What only this machine lacks is a warning in a dry run, which may be for another one.
    """
    accelerator = cfg.accelerator
    findings = _check_words(accelerator, where)
    for name in ("processes", "nodes", "gpus", "silence"):
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
    findings += [replace(finding, where=where(key)) for key, finding in check_roles(cfg)]
    return findings + _check_several(cfg, where) + _check_here(cfg, where)


def _check_several(cfg: DictConfig, where: Where) -> list[Finding]:
    """Several processes where there can be but one, and kinds that a CPU has not."""
    accelerator, world = cfg.accelerator, world_of(cfg.accelerator)
    several = "nodes" if accelerator.processes == 1 else "processes"
    one = f"accelerator.{several}=1"
    if world > 1 and accelerator.kind == "single":
        what = f"accelerator.{several}={accelerator[several]}: kind single is one process"
        return [Finding(what, where(f"accelerator.{several}"), one, "or accelerator.kind=ddp")]
    if world > 1 and not cfg.get("trainer"):
        what = f"accelerator.{several}={accelerator[several]}: task={cfg.task.name} runs in one process"
        return [Finding(what, where(f"accelerator.{several}"), "accelerator=auto")]
    if cfg.debug and (world > 1 or accelerator.kind in ("zero", "fsdp")):
        what = f"debug=true runs in this process, and accelerator={accelerator.name} in processes of its own"
        return [Finding(what, where("debug"), "accelerator=auto accelerator.processes=1")]
    if accelerator.device == "cpu" and accelerator.kind == "fsdp":
        what = (
            "accelerator.kind=fsdp shards on GPUs only; on a CPU the libraries would train without it, and not say so"
        )
        return [Finding(what, where("accelerator.kind"), "accelerator=zero3 accelerator.device=cpu")]
    if accelerator.device == "cpu" and accelerator.offload:
        what = "accelerator.offload=true: on a CPU the states are in the node's memory already"
        return [Finding(what, where("accelerator.offload"), "accelerator.offload=false")]
    return []


def _check_here(cfg: DictConfig, where: Where) -> list[Finding]:
    """GPUs, nodes and packages that a run needs and this machine lacks."""
    accelerator, severity, queued = cfg.accelerator, severity_here(cfg), cfg.cluster.kind != "local"
    here = cfg.cluster.gpus if queued else hardware.gpus()
    findings = []
    if accelerator.kind == "zero" and not installed("deepspeed"):
        what = f"accelerator={accelerator.name} needs deepspeed, which is not installed"
        place = where("accelerator.kind")
        findings.append(Finding(what, place, fix=EXTRAS["deepspeed"], severity=severity))
    if (count := nodes(cfg)) > 1 and not queued:
        key = "accelerator.nodes" if accelerator.nodes > 1 else "engine.nodes"
        what = f"the run takes {count} nodes, and this machine is one"
        findings.append(Finding(what, where(key), f"{key}={1 if accelerator.nodes > 1 else 0}", severity=severity))
    if accelerator.device != "cuda" or (queued and here is None):  # a queue gives what is asked of it
        return findings
    wanted = accelerator.processes + server_gpus(cfg)
    if not here:
        what = "accelerator.device=cuda: this machine has no GPU that is visible"
        findings.append(Finding(what, where("accelerator.device"), "accelerator=auto", severity=severity))
    elif here < wanted:
        what = f"the run takes {plural(wanted, 'GPU')} of a node, and this machine shows {here}"
        findings.append(Finding(what, where("accelerator.gpus"), f"accelerator.gpus={here}", severity=severity))
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
