"""Checkpoints from which a run goes on exactly as if it had never stopped.

The libraries save weights, optimizer, scheduler, random states and the step. They leave unsaved, and this mixin adds:
the completions generated for steps still to come, the place in the generation cycle, metrics and losses gathered since
the last log, the count of tokens seen, and the state of a reward that has one. A checkpoint is whole only once its
`COMPLETE` file is written, and only then are older ones removed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import rotate_checkpoints
from transformers.training_args import TrainingArguments

from r1lab.errors import ResumeError
from r1lab.runs.folder import COMPLETE

BETWEEN_STEPS = (
    "_step",
    "_buffered_inputs",
    "_current_train_step_time",
    "_total_train_tokens",
    "_tr_loss",
    "_total_loss_scalar",
    "_globalstep_last_logged",
)


def _of_a_process(storage: Any, location: str) -> Any:
    """A saved tensor for `cpu:0`, as accelerate calls the CPU of one of several processes: the CPU's, like any."""
    return storage if location.startswith("cpu:") else None


torch.serialization.register_package(15, lambda storage: None, _of_a_process)  # after torch's own of the CPU, 10


class Resumable(Trainer):
    """Mixin for TRL's trainers; put it before them in a class's bases."""

    _metrics: Any  # TRL's: mode → name → values since the last log

    stateful: Sequence[Any] = ()  # rewards with `state_dict` and `load_state_dict`
    resumed_from: Path | None = None

    def _state_file(self, checkpoint: Path) -> Path:
        return checkpoint / f"r1lab_{self.args.process_index}.pt"

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        limit, self.args.save_total_limit = self.args.save_total_limit, None  # keep the old ones until this is whole
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit
        output_dir = str(self.args.output_dir)
        checkpoint = Path(output_dir) / f"checkpoint-{self.state.global_step}"
        state = {name: getattr(self, name) for name in BETWEEN_STEPS if hasattr(self, name)}
        state["_metrics"] = {mode: dict(values) for mode, values in self._metrics.items()}
        state["rewards"] = [reward.state_dict() for reward in self.stateful]
        torch.save(state, self._state_file(checkpoint))
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            for file in checkpoint.rglob("*"):
                sync(file)
            (checkpoint / COMPLETE).touch()
            sync(checkpoint)
            rotate_checkpoints(output_dir=output_dir, save_total_limit=limit, use_mtime=False)

    def resume(self, checkpoint: Path | None) -> None:
        """Train to the end, from a checkpoint where there is one."""
        if checkpoint and (count := len(list(checkpoint.glob("r1lab_*.pt")))) != self.args.world_size:
            raise ResumeError(
                f"{checkpoint} was written by {count} training processes; this run has {self.args.world_size}\n"
                f"    fix      accelerator.processes as it was, or a new folder with model.path={checkpoint}"
            )
        if checkpoint and self._was_last(checkpoint):
            self._make_whole()
            self._load_from_checkpoint(str(checkpoint))
            self.callback_handler.on_train_end(self.args, self.state, self.control)
            return
        self.resumed_from = checkpoint
        self.add_callback(_Restore(self))
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _was_last(self, checkpoint: Path) -> bool:
        """Whether a checkpoint stands at the run's last step; the library would train one step more from there."""
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        longer = self.args.max_steps > state.max_steps or self.args.num_train_epochs > state.num_train_epochs
        if state.global_step < state.max_steps or (longer and self.args.max_steps != state.max_steps):
            return False
        self.state = state
        return True

    def _make_whole(self) -> None:
        """Have the model, which is not wrapped as it need not train, whole in every process from here on."""
        self.is_deepspeed_enabled = self.is_fsdp_enabled = False
        model: Any = self.model
        if sharded := [weight for weight in model.parameters() if hasattr(weight, "ds_id")]:
            import_module("deepspeed").zero.GatheredParameters(sharded, modifier_rank=None).__enter__()
        model.to(self.args.device)

    def restore(self) -> None:
        """Put back what `_save_checkpoint` added, once the library has set its own state up."""
        if self.resumed_from is None:
            return
        state = torch.load(self._state_file(self.resumed_from), map_location=self.args.device, weights_only=True)
        for reward, saved in zip(self.stateful, state.pop("rewards"), strict=True):
            reward.load_state_dict(saved)
        for mode, values in state.pop("_metrics").items():
            self._metrics[mode].update(values)
        for name, value in state.items():
            setattr(self, name, value)


class _Restore(TrainerCallback):
    def __init__(self, trainer: Resumable):
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.trainer.restore()


def sync(path: Path) -> None:
    """Have the kernel write a file or folder to disk now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
