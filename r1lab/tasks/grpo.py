"""task=grpo: group relative policy optimisation (Shao et al. 2024, DeepSeekMath) with verifiable rewards."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from r1lab.data import lengths
from r1lab.data.curriculum import ordered
from r1lab.models.adapters import peft_config
from r1lab.models.reference import as_loaded
from r1lab.runs.folder import RunFolder
from r1lab.tasks.quiet import quiet
from r1lab.tasks.training import arguments, parts, train
from r1lab.terminal import lengthy
from r1lab.trainers import colocated
from r1lab.trainers.grpo import GRPO
from r1lab.wording import plural


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train a model on its own completions and save it; see `training.train` for what is returned."""
    quiet()
    args = arguments(cfg, folder)
    model, tokenizer, splits, rewards = parts(cfg)
    context = getattr(model.config, "max_position_embeddings", None)
    evaluated = cfg.eval.max_tokens if cfg.eval.problems else 0
    with lengthy(f"counting the tokens of {plural(len(splits.train) + len(splits.test), 'prompt')}"):
        splits = lengths.fit_prompts(splits, tokenizer, context, (args.max_completion_length, evaluated), cfg.dataset)
    if cfg.task.curriculum.column:
        splits.train = ordered(splits.train, **cfg.task.curriculum, seed=cfg.seed)
        args.shuffle_dataset = False
    args.reward_weights = [reward.weight for reward in rewards]
    adapter = peft_config(cfg, tokenizer)
    if args.use_vllm and args.vllm_mode == "colocate":
        colocated.prepare(cfg)
    if args.beta and adapter is None:
        args.model_init_kwargs = as_loaded(model, cfg.model, folder.path / "reference")
    beside = f", and vLLM ({args.vllm_mode}) for its completions" if args.use_vllm else ""
    with lengthy(f"setting up the trainer{beside}"):
        trainer = GRPO(
            model=model,
            args=args,
            train_dataset=splits.train.remove_columns([c for c in ("messages",) if c in splits.train.column_names]),
            processing_class=tokenizer,
            peft_config=adapter,
            reward_funcs=rewards,
            folder=folder,
            shortcuts=cfg.engine.shortcuts,
            resample=cfg.task.resample,
        )
    return train(trainer, cfg, folder, model, tokenizer, splits, rewards)
