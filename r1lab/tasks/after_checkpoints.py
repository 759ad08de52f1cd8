"""Benchmarks after checkpoints: runs of their own in Slurm's queue, submitted from inside the training.

`eval.checkpoints` holds commands as they are typed after `python -m r1lab`. Each is started once for each checkpoint,
whatever becomes of the training in between; `evaluations.json` notes that. A checkpoint's weights are kept by links,
and the results stand below the training's own folder, where its page finds them.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from r1lab.hub.content import stage
from r1lab.launch import GIVEN, OWN
from r1lab.runs.folder import RunFolder
from r1lab.runs.ledger import Ledger
from r1lab.slurm.commands import environment

log = logging.getLogger("r1lab")
RANKS = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_")
PLACES = ("CUDA_VISIBLE_DEVICES", "GLOO_SOCKET_IFNAME", "VLLM_HOST_IP")  # of the node that trains
PATIENCE = 120  # seconds that the end of the training waits for submissions under way


def untrained(env: Mapping[str, str]) -> dict[str, str]:
    """An environment without what the launch of this training has put there."""
    given = {*env.get(GIVEN, "").split(), *OWN, *PLACES}
    return {name: value for name, value in env.items() if name not in given and not name.startswith(RANKS)}


class AfterCheckpoints(TrainerCallback):
    """Submits the evaluations of every checkpoint that is written.

    Args:
        commands: words of each, as typed.
        model: the option of the model in training, for commands that name none.
        folder: the run's.
    """

    def __init__(self, commands: Sequence[str], model: str, folder: RunFolder):
        self.commands = [shlex.split(command) for command in commands]
        self.model = model
        self.folder = folder
        self.begun: dict[Path, subprocess.Popen[bytes]] = {}

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        if state.is_world_process_zero:
            checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            for number, words in enumerate(self.commands):
                self.submit(checkpoint, state.global_step, number, words)

    def submit(self, checkpoint: Path, step: int, number: int, words: Sequence[str]) -> None:
        """Start one evaluation of one checkpoint, unless it was started before."""
        place = self.folder.path / "evaluations" / f"step-{step:09d}"
        with Ledger(self.folder.path / "evaluations.json", anew=True).changing() as noted:
            if f"{step}/{number}" in noted:
                return
            noted[f"{step}/{number}"] = shlex.join(words)
        if not (place / "model").is_dir():
            stage(checkpoint, place / "model")
        chosen = [] if any(word.startswith("model=") for word in words) else [f"model={self.model}"]
        where = [f"model.path='{place / 'model'}'", f"hydra.sweep.dir='{place / str(number)}'", "cluster.wait=false"]
        command = [sys.executable, "-m", "r1lab", *words, *chosen, *where]
        said = place / f"submitted-{number}.log"
        with said.open("wb") as file:  # in a session of its own: the training's end does not take it along
            child = subprocess.Popen(
                command,
                env=untrained(environment()),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.begun[said] = child

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.settle()

    def settle(self) -> None:
        """Wait for the submissions under way, and say which failed: an evaluation is never worth the training."""
        for said, child in self.begun.items():
            try:
                code = child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                log.warning("an evaluation is still being submitted; see %s", said)
                continue
            if code:
                log.warning("an evaluation was not submitted; see %s", said)
                print(f"r1lab: an evaluation was not submitted; see {said}", file=sys.stderr)
