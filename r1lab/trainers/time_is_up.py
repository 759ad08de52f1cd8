"""The queue's warning that a run's time is nearly up: a checkpoint between two steps, and the run leaves in order.

The warning is SIGUSR1, which is blocked in every process of a job (`launch.slurm_node`), so that it waits until it is
looked for here. Every rank has to leave at the same step, and they may see it at different ones: they ask each other.
"""

from __future__ import annotations

import signal

from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from r1lab.errors import Requeue


class TimeIsUp(TrainerCallback):
    """Ends the training with a checkpoint once the warning has come.

    Args:
        accelerator: through which the ranks agree.
    """

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.leaving = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if warned():
            self.accelerator.set_trigger()
        if self.accelerator.num_processes > 1 or warned():
            self.leaving = self.accelerator.check_trigger()
        if self.leaving:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Leave.

        Raises:
            Requeue: the checkpoint that was asked for is whole.
        """
        if self.leaving:
            raise Requeue(f"its time was nearly up: it goes on from step {state.global_step} when it is started again")


def warned() -> bool:
    """Whether the warning has come to this process."""
    return signal.SIGUSR1 in signal.sigpending()
