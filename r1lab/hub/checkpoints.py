"""Every checkpoint kept for its push, from within the trainer: a matter of links, so that training does not wait."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from r1lab.hub.pending import expect_checkpoint
from r1lab.runs.folder import RunFolder

log = logging.getLogger("r1lab")


class Checkpoints(TrainerCallback):
    """Keeps each checkpoint that is written and notes it in `hub.json`, where the pusher finds it.

    Args:
        settings: the run's `hub` node.
        folder: the run's.
    """

    def __init__(self, settings: DictConfig, folder: RunFolder):
        self.settings = settings
        self.folder = folder

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        try:
            expect_checkpoint(self.folder, self.settings, checkpoint, state.global_step)
        except OSError as error:  # a push is never worth a run
            log.exception("checkpoint %d is not kept for its push", state.global_step)
            print(f"r1lab: checkpoint {state.global_step} will not be pushed: {error}", file=sys.stderr)
