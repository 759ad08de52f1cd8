"""What a run's settings need of this machine: packages that r1lab does not bring, and a GPU."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.config.packages import EXTRAS, HALF, choose_attention, installed
from r1lab.errors import Finding
from r1lab.plan.fields import Where

OTHERS = ("galore", "adamw_torch", "apollo")  # optimisers with 8bit in the name that are not of bitsandbytes
OF_BITSANDBYTES = ("8bit", "bnb", "paged", "ademamix", "lion")


def check_extras(cfg: DictConfig, where: Where) -> list[Finding]:
    """Settings whose package is not installed, or that run on a GPU only, each with what to type."""
    findings = []
    for key, package, instead in needs(cfg):
        if cfg.accelerator.device != "cuda":
            what = f"{key} runs on a GPU only, and the device is {cfg.accelerator.device}"
            findings.append(Finding(what, where(key.partition("=")[0]), fix=instead))
        if not installed(package):
            what = f"{key} needs {package}, which is not installed"
            findings.append(Finding(what, where(key.partition("=")[0]), fix=f"{EXTRAS[package]}; or {instead}"))
    if cfg.model.attention == "flash_attention_2" and cfg.model.dtype not in HALF:
        what = f"model.attention=flash_attention_2 takes {' or '.join(HALF)}, not model.dtype={cfg.model.dtype}"
        findings.append(Finding(what, where("model.dtype"), fix="model.dtype=bfloat16; or model.attention=sdpa"))
    return findings


def needs(cfg: DictConfig) -> list[tuple[str, str, str]]:
    """(setting, the package it needs, what to set instead) of what the run asks for and needs a GPU."""
    trainer = cfg.get("trainer") or {}
    found = []
    if cfg.model.attention == "flash_attention_2":
        found.append(("model.attention=flash_attention_2", "flash-attn", "model.attention=sdpa"))
    if cfg.model.kernels:
        found.append(("model.kernels=true", "kernels", "model.kernels=false"))
    if cfg.adapter.quantisation:
        found.append(("adapter.quantisation", "bitsandbytes", "adapter=lora"))
    optimizer = str(trainer.get("optim") or "")
    if not optimizer.startswith(OTHERS) and any(word in optimizer for word in OF_BITSANDBYTES):
        found.append((f"trainer.optim={optimizer}", "bitsandbytes", "trainer.optim=adamw_torch_fused"))
    if trainer.get("use_liger_kernel"):
        found.append(("trainer.use_liger_kernel=true", "liger-kernel", "trainer.use_liger_kernel=false"))
    return found


def advice(cfg: DictConfig, where: Where) -> list[Finding]:
    """What works and is better said another way."""
    if not (cfg.get("trainer") or {}).get("use_liger_kernel"):
        return []
    what = "trainer.use_liger_kernel goes with trl 2.0; the Hub's kernels take its place"
    return [Finding(what, where("trainer.use_liger_kernel"), "model.kernels=true", severity="warning")]


def attention_facts(cfg: DictConfig) -> str:
    """The attention of a run and why, in a line."""
    choice, reason = choose_attention(cfg.model.attention, cfg.model.dtype, cfg.accelerator.device)
    return f"{choice} ({reason})"
