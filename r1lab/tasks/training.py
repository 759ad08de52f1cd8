"""What the training tasks share: TRL's config from the run's, the loop with its callbacks, and what is left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from r1lab.data import loading as data
from r1lab.data.loading import fingerprint
from r1lab.data.splits import Splits
from r1lab.engines.transformers import TransformersEngine
from r1lab.errors import UserError
from r1lab.evaluation.sampling import Diagnose
from r1lab.hub.checkpoints import Checkpoints
from r1lab.models.adapters import complete_head
from r1lab.models.loading import facts, load_model
from r1lab.models.saving import save
from r1lab.models.tokens import load_tokenizer
from r1lab.rewards.base import Reward, build_all
from r1lab.runs import manifest
from r1lab.runs.folder import RunFolder, step_of
from r1lab.tasks import audit
from r1lab.tasks.after_checkpoints import AfterCheckpoints
from r1lab.tasks.quiet import named
from r1lab.terminal import lengthy
from r1lab.trainers.evaluator import Evaluator
from r1lab.trainers.progress import Progress
from r1lab.trainers.ranks import first, meet
from r1lab.trainers.resumable import Resumable
from r1lab.trainers.stream import Stream
from r1lab.trainers.time_is_up import TimeIsUp
from r1lab.trainers.watch import Watch
from r1lab.trainers.wrapping import Wrapping, check_world, settings, sharded, start_deepspeed, whole_weights
from r1lab.wording import display

log = logging.getLogger("r1lab")


def arguments(cfg: DictConfig, folder: RunFolder) -> Any:
    """TRL's config object for a run.

    Raises:
        UserError: TRL refuses a combination of values.
    """
    values: dict[str, Any] = dict(OmegaConf.to_container(cfg.trainer))  # type: ignore[arg-type]
    target = named(str(values.pop("_target_")))
    values = settings(cfg) | values
    try:
        args = target(output_dir=str(folder.checkpoints), seed=cfg.seed, report_to="none", disable_tqdm=True, **values)
    except (ValueError, TypeError) as error:
        raise UserError(f"trl refuses the trainer's settings: {error}") from error
    if cfg.accelerator.kind == "zero":  # before the model loads, which stage 3 spreads at once
        start_deepspeed()
    check_world(cfg, args)
    return args


def parts(cfg: DictConfig, use: str = "") -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Splits, list[Reward]]:
    """Model, tokenizer, rows and rewards of a training; the weights last, after the audit of all else.

    Raises:
        UserError: something is not there, or the audit finds a fault.
    """
    with first():
        tokenizer = load_tokenizer(cfg.model)
        splits = data.load(cfg.dataset, use)
    rewards = build_all(cfg)
    data.require(splits, rewards, cfg.dataset.name)
    with lengthy("auditing tokenizer, template, data and rewards"):
        audit.require(cfg, tokenizer, splits.train, rewards)
    quantisation: Any = OmegaConf.to_container(cfg.adapter.quantisation) if cfg.adapter.quantisation else None
    move = not sharded(cfg.accelerator)  # its wrapper moves a sharded model to the GPUs, part by part
    model = load_model(cfg.model, cfg.accelerator.device, tokenizer, quantisation, move=move)
    return model, tokenizer, splits, rewards


def diagnosis(cfg: DictConfig) -> Diagnose | None:
    """The dataset's own look at completions, if it has one."""
    return named(cfg.dataset.diagnose) if cfg.dataset.diagnose else None


def train(
    trainer: Resumable,
    cfg: DictConfig,
    folder: RunFolder,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    splits: Splits,
    rewards: Sequence[Reward],
) -> dict[str, Any]:
    """Train with r1lab's callbacks, resume where the folder holds a checkpoint, save the model.

    Returns:
        The run's final metrics: the last evaluation and, as `<name>_before`, the first; steps and seconds.
    """
    complete_head(trainer.model)
    folder.drop_half_written()
    checkpoint = folder.last_checkpoint()
    folder.rewind(step_of(checkpoint) if checkpoint else -1)
    meet()  # the others read what the first one has left
    started = datetime.fromisoformat(folder.read_json("manifest.json")["started"]).timestamp()
    stream = Stream(folder, started)
    shortcuts = cfg.engine.shortcuts and not sharded(cfg.accelerator)
    engine = TransformersEngine(model, tokenizer, cfg.eval.batch, shortcuts)
    whole = partial(whole_weights, trainer)
    evaluator = Evaluator(engine, splits.test, rewards, cfg.eval, cfg.seed, folder, stream, diagnosis(cfg), whole)
    trainer.add_callback(Wrapping(trainer, cfg.accelerator, folder))
    trainer.add_callback(stream)
    trainer.add_callback(evaluator)
    if cfg.get("hub") and cfg.hub.name != "none" and cfg.hub.checkpoints:
        trainer.add_callback(Checkpoints(cfg.hub, folder))
    if cfg.eval.get("checkpoints"):
        trainer.add_callback(AfterCheckpoints(list(cfg.eval.checkpoints), cfg.model.name, folder))
    trainer.add_callback(TimeIsUp(trainer.accelerator))  # after those that must have seen a checkpoint when it leaves
    progress = Progress(cfg.task.name)
    progress.attach(trainer)
    if watched := cfg.task.get("watch"):
        values: dict[str, Any] = dict(OmegaConf.to_container(watched))  # type: ignore[arg-type]
        thresholds = named(values.pop("_target_"))(**values)
        trainer.add_callback(Watch(folder, thresholds, [reward.__name__ for reward in rewards], progress.say))
    trainer.stateful = [item.function for item in rewards if hasattr(item.function, "state_dict")]
    manifest.add(folder, dataset={"rows": len(splits.train), "fingerprint": fingerprint(splits.train)})
    if not checkpoint:
        manifest.add(folder, model=facts(model, cfg.model))
    log.info("%d rows to train on, %d held out", len(splits.train), len(splits.test))
    if checkpoint:
        log.info("resuming from %s", checkpoint)
        if trainer.is_world_process_zero():
            progress.say(f"{cfg.task.name} goes on from {display(checkpoint)}")
    began = time.monotonic()
    try:
        trainer.resume(checkpoint)
    finally:
        progress.stop()
    metrics = {
        "steps": trainer.state.global_step,
        "train_seconds": round(time.monotonic() - began, 2),
        "objective": cfg.objective,
        **evaluator.before_and_after(),
    }
    save(trainer, cfg, folder.model, tokenizer, metrics)
    log.info("trained %d steps, model in %s", trainer.state.global_step, folder.model)
    return metrics | {"notes": notes(cfg, metrics)}


def notes(cfg: DictConfig, metrics: dict[str, Any]) -> list[str]:
    """What a run changed, in plain sentences: the objective, then what the dataset has to say."""
    said = []
    now, was = metrics.get(cfg.objective), metrics.get(f"{cfg.objective}_before")
    if now is not None and was is not None:
        said.append(f"{cfg.objective} on held-out problems: {was:.1%} before, {now:.1%} after.")
    if cfg.dataset.diagnose:
        explain = getattr(import_module(str(cfg.dataset.diagnose).rpartition(".")[0]), "explain", None)
        rates = {key.removeprefix("eval/"): value for key, value in metrics.items() if key.startswith("eval/")}
        before = {key.removesuffix("_before"): value for key, value in rates.items() if key.endswith("_before")}
        said += explain(before, rates) if explain else []
    return said
