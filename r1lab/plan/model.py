"""The model's numbers: parameters from the architecture, and whether its context holds what is asked."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.plan.parameters import shape_of
from r1lab.plan.template import check_rope, check_template
from r1lab.wording import display, nearest

ATTENTIONS = ("auto", "sdpa", "eager", "flash_attention_2")
ALIASES = {"fp16": "float16", "fp32": "float32", "bf16": "bfloat16", "half": "float16", "flash": "flash_attention_2"}
DTYPES = ("float32", "bfloat16", "float16")


def parameters_of(model: DictConfig) -> int | None:
    """Parameters of a decoder from its architecture; None where the numbers are not all given."""
    shape = shape_of(model)
    return shape.total if shape else None


def check_model(cfg: DictConfig, where: Where) -> list[Finding]:
    """A model without weights to load, words that no model knows, and completions longer than the context."""
    model = cfg.model
    findings = []
    if model.path and not _holds_model(Path(model.path)):
        inner = [item for item in ("model", "final") if _holds_model(Path(model.path) / item)]
        what = f"model.path={display(Path(model.path))} holds no saved model (no config.json)"
        close = f"model.path={display(Path(model.path) / inner[0])}" if inner else ""
        findings.append(Finding(what, where("model.path"), close, "a folder that a run saved: model.path=RUN/model"))
    if not model.path and not model.repo and not model.build:
        findings.append(
            Finding("model.repo has no value", where("model"), fix="model.repo=ORG/NAME or model.path=FOLDER")
        )
    for name, valid in (("dtype", DTYPES), ("attention", ATTENTIONS)):
        if model[name] not in valid:
            place = where(f"model.{name}")
            close = nearest(ALIASES.get(model[name], model[name]), valid)
            what = f"model.{name} does not know {model[name]!r}"
            nearby = f"model.{name}={close}" if close else ""
            findings.append(Finding(what, place, nearby, f"one of: {', '.join(valid)}"))
    for key, longest in (("trainer.max_completion_length", _completion(cfg)), ("eval.max_tokens", cfg.eval.max_tokens)):
        if model.context and longest and longest >= model.context:
            what = f"{key}={longest} leaves no room for a prompt in a context of {model.context} tokens"
            findings.append(Finding(what, where(key), fix=f"{key}={model.context // 2} or less"))
    findings += check_template(cfg, where) + check_rope(cfg, where)
    length = cfg.trainer.get("max_length") if cfg.get("trainer") else None
    if model.context and length and length > model.context:
        what = f"trainer.max_length={length} is beyond the model's context of {model.context} tokens"
        findings.append(Finding(what, where("trainer.max_length"), f"trainer.max_length={model.context}"))
    return findings


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def _completion(cfg: DictConfig) -> int | None:
    return cfg.trainer.get("max_completion_length") if cfg.get("trainer") else None
