"""The card of a saved model: what it is, what it was made of and how, and how to load it. No paths and no secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from r1lab.runs.manifest import versions

HOW = {
    "sft": "supervised fine-tuning",
    "grpo": "group relative policy optimisation (GRPO, arXiv 2402.03300) on its own completions",
    "rft": "fine-tuning on those of its own completions that were right (arXiv 2308.01825)",
}
TOLD = (  # settings of the trainer that say most about a training
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "max_length",
    "packing",
    "num_generations",
    "max_completion_length",
    "temperature",
    "beta",
    "loss_type",
    "optim",
)
LIBRARIES = ("r1lab", "torch", "transformers", "trl")


def card(cfg: DictConfig, metrics: Mapping[str, Any], adapter: bool = False) -> str:
    """The card as Markdown, with the metadata that the Hub reads on top.

    Args:
        cfg: the resolved run.
        metrics: its final metrics; those of evaluations are shown, before and after.
        adapter: whether the card lies beside an adapter alone.
    """
    base, rows = cfg.model.repo, cfg.dataset.get("repo")
    meta = [
        "library_name: peft" if adapter else "library_name: transformers",
        f"tags: [r1lab, {cfg.task.name}]",
    ]
    meta += [f"base_model: {base}"] * bool(base) + [f"datasets: [{rows}]"] * bool(rows)
    made = HOW.get(cfg.task.name, cfg.task.name)
    lines = ["---", *meta, "---", f"# {str(cfg.name).rpartition('/')[2]}", ""]
    lines += [f"{_linked(base, cfg.model.name)} after {made}, made with r1lab.", ""]
    lines += ["## Training", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in _training(cfg, metrics)]
    if measured := _measured(metrics):
        lines += ["", "## Held-out problems", "", "| metric | before | after |", "|---|---|---|", *measured]
    lines += ["", "## Use", "", "```python", *_use(cfg, adapter), "```", ""]
    return "\n".join(lines)


def _training(cfg: DictConfig, metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    base = cfg.model.name + (", as an earlier run left it" if cfg.model.path else "")
    revision = f" at {cfg.model.revision}" if cfg.model.repo and cfg.model.revision else ""
    told: list[tuple[str, Any]] = [
        ("base", f"{base}{revision}"),
        ("data", _linked(cfg.dataset.get("repo"), cfg.dataset.name, "datasets/")),
        ("steps", metrics.get("steps")),
        ("seed", cfg.seed),
    ]
    if rewards := {name: item.get("weight", 1.0) for name, item in (cfg.reward or {}).items()}:
        told.append(
            (
                "rewards" if cfg.task.name == "grpo" else "measured by",
                ", ".join(f"{name} × {weight:g}" for name, weight in rewards.items()),
            )
        )
    if cfg.adapter.get("_target_"):
        told.append(("adapter", f"{cfg.adapter.name}, rank {cfg.adapter.get('r')}" + ", merged" * cfg.adapter.merge))
    left_out = {"num_train_epochs"} if cfg.trainer.get("max_steps", -1) > 0 else {"max_steps"}
    told += [(name, cfg.trainer[name]) for name in TOLD if name not in left_out and cfg.trainer.get(name) is not None]
    installed = versions()
    return [*told, ("made with", ", ".join(f"{name} {installed[name]}" for name in LIBRARIES))]


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    names = [name for name in metrics if name.startswith("eval/") and f"{name}_before" in metrics]
    values = [(name, metrics[f"{name}_before"], metrics[name]) for name in names]
    return [
        f"| {name[5:]} | {was:.3f} | {now:.3f} |" for name, was, now in values if was is not None and now is not None
    ]


def _use(cfg: DictConfig, adapter: bool) -> list[str]:
    system = '{"role": "system", "content": SYSTEM}, ' * bool(cfg.dataset.system_prompt)
    kind = "AutoPeftModelForCausalLM" if adapter else "AutoModelForCausalLM"
    return [
        "from transformers import AutoTokenizer" + ", AutoModelForCausalLM" * (not adapter),
        *["from peft import AutoPeftModelForCausalLM"] * adapter,
        "",
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER OR REPOSITORY")',
        f'model = {kind}.from_pretrained("FOLDER OR REPOSITORY", dtype="auto")',
        *[f"SYSTEM = {cfg.dataset.system_prompt!r}"] * bool(cfg.dataset.system_prompt),
        f'talk = [{system}{{"role": "user", "content": "What is 2 + 3?"}}]',
        "inputs = tokenizer.apply_chat_template(",
        '    talk, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
        ")",
        f"output = model.generate(**inputs, max_new_tokens={cfg.model.max_new_tokens})",
        'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
    ]


def _linked(repo: str | None, name: str, kind: str = "") -> str:
    return f"[{repo}](https://huggingface.co/{kind}{repo})" if repo else str(name)
