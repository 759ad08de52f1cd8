"""Which packages a config needs beside the core ones, whether they are installed, and what installs them."""

from __future__ import annotations

from importlib import metadata

from omegaconf import DictConfig, OmegaConf

from r1lab.config.source import locate
from r1lab.errors import Finding
from r1lab.plan.accelerators import severity_here
from r1lab.plan.fields import Where

NAMES = {  # module → (distribution, r1lab's extra)
    "vllm": ("vllm", "vllm"),
    "flash_attn": ("flash-attn", "flash-attn"),
    "deepspeed": ("deepspeed", "deepspeed"),
    "peft": ("peft", "peft"),
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
    "liger_kernel": ("liger-kernel", "liger"),
    "kernels": ("kernels", "kernels"),
    "wandb": ("wandb", "wandb"),
    "mlflow": ("mlflow", "mlflow"),
    "trackio": ("trackio", "trackio"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "e2b_code_interpreter": ("e2b-code-interpreter", "code"),
    "morphcloud": ("morphcloud", "code"),
    "jieba": ("jieba", "zh"),
    "distilabel": ("distilabel", "distilabel"),
    "galore_torch": ("galore-torch", ""),
    "lomo_optim": ("lomo-optim", ""),
    "grokadamw": ("grokadamw", ""),
    "schedulefree": ("schedulefree", ""),
    "apex": ("apex", ""),
    "torchao": ("torchao", ""),
}
OPTIMIZERS = {  # part of an optimizer's name → the module that brings it
    "8bit": "bitsandbytes",
    "bnb": "bitsandbytes",
    "paged": "bitsandbytes",
    "galore": "galore_torch",
    "lomo": "lomo_optim",
    "grokadamw": "grokadamw",
    "schedule_free": "schedulefree",
    "apex": "apex",
    "torch_4bit": "torchao",
    "torch_8bit": "torchao",
}
TRACKERS = ("wandb", "mlflow", "trackio", "tensorboard")
SANDBOXES = {"e2b": "e2b_code_interpreter", "morph": "morphcloud"}


def installed(module: str) -> bool:
    """Whether a module's package is installed, found without importing it."""
    return locate(module) is not None


def install_line(module: str) -> str:
    """The command that installs the package of a module: r1lab's extra where it has one for it."""
    name, extra = NAMES.get(module, (module, ""))
    try:
        extras = metadata.metadata("r1lab").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        extras = []
    return f'pip install "r1lab[{extra}]"' if extra in extras else f"pip install {name}"


def needed(cfg: DictConfig) -> dict[str, str]:
    """Modules that a config needs beside the core ones, each with the key that asks for it."""
    found: dict[str, str] = {}
    trainer, accelerator = cfg.get("trainer") or {}, cfg.accelerator
    if cfg.engine.name == "vllm" and (cfg.task.name != "grpo" or cfg.engine.mode != "server"):
        found["vllm"] = "engine.name"
    if trainer.get("use_vllm"):
        found.setdefault("vllm", "engine.mode")
    if cfg.model.attention == "flash_attention_2":
        found["flash_attn"] = "model.attention"
    if accelerator.get("kind") == "zero":
        found["deepspeed"] = "accelerator.kind"
    if trainer.get("deepspeed"):
        found.setdefault("deepspeed", "trainer.deepspeed")
    if trainer.get("use_liger_kernel"):
        found["liger_kernel"] = "trainer.use_liger_kernel"
    optim = str(trainer.get("optim") or "")
    for part, module in OPTIMIZERS.items():
        if part in optim:
            found[module] = "trainer.optim"
    if "torchao" in found:  # its names hold "8bit" and "4bit" too
        found.pop("bitsandbytes", None)
    adapter = str((cfg.get("adapter") or {}).get("name"))
    if adapter in ("lora", "qlora"):
        found["peft"] = "adapter.name"
    if adapter == "qlora":
        found["bitsandbytes"] = "adapter.name"
    if cfg.model.get("kernels"):
        found["kernels"] = "model.kernels"
    if client := SANDBOXES.get(str(cfg.sandbox.get("name"))):
        found[client] = "sandbox.name"
    chosen = cfg.get("tracker") or {}
    found |= {name: "tracker" for name in TRACKERS if name in chosen}
    repetition = (cfg.get("reward") or {}).get("repetition_penalty") or {}
    if repetition.get("language") == "zh":
        found["jieba"] = "reward.repetition_penalty.language"
    return found


def check_packages(cfg: DictConfig, where: Where) -> list[Finding]:
    """What TRL's fields need and this machine lacks; a warning in a dry run, which may be for another one.

    What a choice of a group needs is told by that group's own check, and all of it by `task=doctor`.
    """
    findings = []
    for module, key in needed(cfg).items():
        own = key in ("engine.mode", "trainer.deepspeed") or (key == "trainer.optim" and module != "bitsandbytes")
        if own and not installed(module):
            value = OmegaConf.select(cfg, key)
            said = str(value).lower() if isinstance(value, bool) else value
            what = f"{key}={said} needs the package {NAMES[module][0]}, which is not installed"
            findings.append(Finding(what, where(key), fix=install_line(module), severity=severity_here(cfg)))
    return findings
