"""The card of a generated dataset: what made it, and what is in it."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.engines.base import Sampling
from r1lab.generation.tally import Tally


def card(cfg: DictConfig, tally: Tally, sampling: Sampling) -> str:
    """README.md of the dataset, without its head."""
    model = cfg.model.repo or cfg.model.name
    words = {
        "model": f"{model}" + (f", revision {cfg.model.revision}" if cfg.model.revision else ""),
        "problems": f"{cfg.dataset.get('repo') or cfg.dataset.name}, {tally.problems:,} rows",
        "sampling": f"{sampling.n} completions each, temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, "
        f"at most {sampling.max_tokens:,} tokens, seed {sampling.seed}",
        "engine": str(cfg.engine.name),
        "completions": f"{tally.completions:,}, {tally.tokens:,} tokens",
        "kept for SFT": f"{tally.kept:,}, of {tally.kept_problems:,} problems",
    }
    rows = [f"| {name} | {value} |" for name, value in words.items()]
    if cfg.task.template:
        rows.append("| prompt template | `task.template` of the run |")
    scores = [
        f"| {name.removeprefix('generate/')} | {value:.3f} |"
        for name, value in tally.metrics().items()
        if not name.endswith(("_low", "_high"))
    ]
    return "\n".join(
        [
            f"# {cfg.name}",
            "",
            "Completions made with r1lab. The part `all` has a row for each completion with its rewards, `sft` the",
            "conversations that were kept for supervised fine-tuning.",
            "",
            "| | |",
            "|---|---|",
            *rows,
            "",
            "| mean | |",
            "|---|---|",
            *scores,
            "",
        ]
    )
