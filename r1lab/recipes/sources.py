"""A recipe's model and data: a file of r1lab's where there is one of the same repository, else the Hub or a folder."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from r1lab.config.experiments import CONF
from r1lab.recipes.draft import Draft

REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
ADAPTERS = {  # trl.ModelConfig's words → fields of peft.LoraConfig
    "lora_r": "r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "lora_modules_to_save": "modules_to_save",
    "lora_task_type": "task_type",
    "use_rslora": "use_rslora",
    "use_dora": "use_dora",
}
QUANTISATION = {"bnb_4bit_quant_type": "bnb_4bit_quant_type", "use_bnb_nested_quant": "bnb_4bit_use_double_quant"}
COMPARES = ("accuracy", "cosine", "length")  # rewards that read the gold answer
ENTRY = ("id", "config", "split", "columns", "weight")  # keys of a mixture's entry, as r1lab calls them too


@cache
def shipped(group: str) -> dict[str, list[tuple[str, Any]]]:
    """repository in lower case → (option, its config) of the files that r1lab ships."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for file in sorted((CONF / group).glob("*.yaml")):
        cfg = OmegaConf.load(file)
        if repo := OmegaConf.select(cfg, "repo"):
            found.setdefault(str(repo).lower(), []).append((file.stem, cfg))
    return found


def model(draft: Draft) -> None:
    """The model, its template, end token and adapter."""
    name = draft.text("model_name_or_path")
    if not name:
        draft.refuse("model_name_or_path", "the recipe names no model", fix="model_name_or_path: ORG/NAME")
    elif options := shipped("model").get(name.lower()):
        draft.choose("model", options[0][0], "model_name_or_path")
    elif Path(name).expanduser().is_dir() or not REPOSITORY.fullmatch(name):
        draft.choose("model", "hub")
        draft.put("model.path", name, "model_name_or_path")
    else:
        draft.choose("model", "hub")
        remark = "r1lab has no file of it: its memory is not planned"
        draft.put("model.repo", name, "model_name_or_path", remark=remark)
    draft.move("model_revision", "model.revision")
    _dtype(draft)
    _attention(draft)
    draft.move("chat_template", "model.chat_template")
    draft.move("eos_token", "model.eos_token")
    _adapter(draft)


def _dtype(draft: Draft) -> None:
    for key in ("torch_dtype", "dtype"):
        if draft.get(key) == "auto":
            draft.drop("the model's file says the type", key)
        elif draft.says(key):
            draft.put("model.dtype", draft.text(key).removeprefix("torch."), key)


def _attention(draft: Draft) -> None:
    said = draft.get("attn_implementation")
    if said == "flash_attention_2":
        draft.put("model.attention", "auto", "attn_implementation", remark="flash_attention_2 where it is installed")
    elif said in ("sdpa", "eager"):
        draft.move("attn_implementation", "model.attention")
    else:
        draft.drop("r1lab takes flash_attention_2, sdpa and eager", "attn_implementation")


def _adapter(draft: Draft) -> None:
    four, eight = draft.flag("load_in_4bit"), draft.flag("load_in_8bit")
    if not draft.flag("use_peft"):
        why = "use_peft is not set: every weight is trained"
        draft.drop(why, *ADAPTERS, "lora_target_modules", *QUANTISATION, "load_in_4bit", "load_in_8bit", "use_peft")
        return
    draft.choose("adapter", "qlora" if four or eight else "lora", "use_peft")
    for key, name in ADAPTERS.items():
        draft.move(key, f"adapter.{name}")
    targets = draft.get("lora_target_modules")
    draft.put("adapter.target_modules", targets, "lora_target_modules", remark="" if targets else "peft's own choice")
    for key, on, other in (("load_in_4bit", four, eight), ("load_in_8bit", eight, four)):
        if on or other:
            draft.put(f"adapter.quantisation.{key}", on, key)
    for key, name in QUANTISATION.items():
        if four:
            draft.move(key, f"adapter.quantisation.{name}")
    draft.drop("the weights are not in 4 bits", *QUANTISATION, "load_in_4bit", "load_in_8bit")


def dataset(draft: Draft) -> None:
    """The data, and which column is what."""
    if draft.says("dataset_mixture"):
        _mixture(draft)
        draft.drop("dataset_mixture takes its place", "dataset_name", "dataset_config", "dataset_train_split")
    elif name := draft.text("dataset_name"):
        _named(draft, name)
        draft.put("dataset.test", 0, remark="all rows are trained on, as there")
    else:
        draft.refuse("dataset_name", "the recipe names no dataset", fix="dataset_name: ORG/NAME, or dataset_mixture:")
    if draft.kind == "grpo":
        draft.move("system_prompt", "dataset.system_prompt")
        if draft.says("max_prompt_length"):
            remark = "longer prompts are left out; TRL cut them then"
            draft.put("dataset.max_prompt_tokens", draft.get("max_prompt_length"), "max_prompt_length", remark=remark)
            draft.put("dataset.too_long", "drop")
    draft.drop("Open-R1 gives it to benchmarks alone, not to training", "system_prompt")
    draft.drop("nothing is evaluated on the way: eval.problems= and dataset.test= do that", "dataset_test_split")


def _named(draft: Draft, name: str) -> None:
    options = shipped("dataset").get(name.lower(), [])
    config = draft.get("dataset_config")
    if options:
        option, cfg = next((item for item in options if item[1].get("config") == config), options[0])
        draft.choose("dataset", option, "dataset_name")
        if config is not None:
            draft.became["dataset_config"] = "dataset.config"
            if cfg.get("config") != config:
                draft.put("dataset.config", config)
                draft.put("dataset.columns", None, remark="of another config: not known before it is loaded")
        _columns(draft, cfg.get("prompt"))
    elif Path(name).expanduser().exists():
        draft.choose("dataset", "local")
        draft.put("dataset.path", name, "dataset_name")
        draft.drop("files have no config", "dataset_config")
        _columns(draft, None)
    else:
        draft.choose("dataset", "hub")
        draft.put("dataset.repo", name, "dataset_name")
        draft.move("dataset_config", "dataset.config")
        _columns(draft, None)
    draft.move("dataset_train_split", "dataset.split")


def _columns(draft: Draft, prompt: str | None) -> None:
    """The roles of columns; of a shipped dataset, which has a prompt column or messages, only what differs."""
    ours = draft.choices.get("dataset") not in ("hub", "local", "mixture")
    if draft.kind == "sft":
        if draft.says("dataset_text_field") and not ours:
            draft.put("dataset.text", draft.text("dataset_text_field"), "dataset_text_field")
        elif not ours:
            draft.put("dataset.messages", "messages", remark="conversations; or dataset.text, dataset.completion")
        draft.drop("the dataset's own file says which columns hold what", "dataset_text_field")
        if not ours:
            draft.put("dataset.prompt", None)
            draft.put("dataset.answer", None)
        return
    column = draft.text("dataset_prompt_column", "" if ours else "prompt")
    if column and column != prompt:
        draft.put("dataset.prompt", column, "dataset_prompt_column")
    elif column:
        draft.became["dataset_prompt_column"] = "dataset.prompt"
    if not ours:
        compared = [name for name in draft.texts("reward_funcs", ("accuracy",)) if name in COMPARES]
        draft.put("dataset.answer", "solution" if compared else None)


def _mixture(draft: Draft) -> None:
    given = draft.get("dataset_mixture")
    if not isinstance(given, dict) or not isinstance(given.get("datasets"), list) or not given["datasets"]:
        draft.refuse("dataset_mixture", "dataset_mixture names no datasets", fix="datasets: a list of {id: ORG/NAME}")
        return
    draft.choose("dataset", "mixture", "dataset_mixture")
    entries = []
    for number, entry in enumerate(given["datasets"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            draft.refuse("dataset_mixture", f"dataset_mixture.datasets[{number}] has no id", fix="id: ORG/NAME")
            continue
        entries.append({key: entry[key] for key in ENTRY if entry.get(key) is not None})
        for key in entry.keys() - {*ENTRY}:
            draft.unknown[f"dataset_mixture.datasets[{number}].{key}"] = ""
    for key in given.keys() - {"datasets", "seed", "test_split_size"}:
        draft.unknown[f"dataset_mixture.{key}"] = ""
    draft.put("dataset.datasets", entries)
    draft.put("dataset.seed", given.get("seed") or 0)
    share = given.get("test_split_size")
    draft.put("dataset.test", share or 0, remark="" if share else "all rows are trained on, as there")
    _columns(draft, None)
