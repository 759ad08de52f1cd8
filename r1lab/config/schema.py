"""The words a run is made of, with their types and defaults.

These classes are never instantiated by a run: their fields fill the config that Hydra composes, and `plan` reads their
annotations to tell a wrong word or type from a right one. What belongs to one option only (a reward's parameters, a
dataset's loader, a task's knobs) is declared by that option's own file or by the signature of its `_target_`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Model:
    """Facts about one model: enough to plan a run without a hub.

    `layers … context` describe the architecture (counts and tokens); `max_new_tokens` is the longest completion
    worth sampling from it. `path` is a folder saved by an earlier run and wins over `repo`.
    """

    name: str = "???"
    repo: str | None = None
    revision: str | None = None
    path: str | None = None
    dtype: str = "bfloat16"
    attention: str = "sdpa"
    chat_template: str | None = None
    eos_token: str | None = None
    layers: int | None = None
    hidden: int | None = None
    intermediate: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    vocabulary: int | None = None
    context: int | None = None
    max_new_tokens: int = 512
    build: dict[str, Any] | None = None


@dataclass
class Dataset:
    """Where rows come from and which column is what.

    `prompt` and `answer` name the columns that hold the problem and its gold answer, `messages` one that holds a whole
    conversation for SFT; rewards see every column. `columns` lists what the dataset has, where that is known. The
    remaining keys of an option are the parameters of its loader, `_target_`.
    """

    name: str = "???"
    _target_: str = "???"
    prompt: str | None = "problem"
    answer: str | None = "answer"
    messages: str | None = None
    columns: list[str] | None = None
    system_prompt: str | None = None
    diagnose: str | None = None


@dataclass
class Engine:
    """How completions are made. `transformers` samples in the training process.

    `shortcuts` lets completions share the work they have in common; false runs TRL's own code, step by step.
    """

    name: str = "transformers"
    shortcuts: bool = True


@dataclass
class Accelerator:
    """Which devices train. `processes` counts training processes over all nodes."""

    name: str = "auto"
    processes: int = 1
    device: str = "auto"
    threads: int | None = None


@dataclass
class Eval:
    """Held-out problems sampled before the first step, along the way and after the last.

    `problems` = 0 turns it off; `every` is the share of the run between two evaluations (0 = only first and last).
    """

    problems: int = 400
    every: float = 0.2
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    max_tokens: int = 512
    batch: int = 200


@dataclass
class Hub:
    """Where the final model goes: `none`, or `push` to the Hugging Face Hub.

    `repo` is "name" or "user/name"; null means the model's and the task's name. `checkpoints` pushes each one to a
    branch of its own, `<revision>-step-000000050`. `wait` is the seconds that a finished run waits for its pushes.
    """

    name: str = "none"
    repo: str | None = None
    private: bool = True
    revision: str = "main"
    overwrite: bool = False
    checkpoints: bool = False
    retries: int = 5
    wait: float = 3600.0


@dataclass
class Run:
    """One run. Everything a researcher types on the command line is a field here or below."""

    name: str = "???"
    seed: int = 42
    global_batch_size: int | None = None
    objective: str = "eval/accuracy"
    dry_run: bool | str = False
    debug: bool = False
    resume: str | None = None
    plugins: list[str] = field(default_factory=list)
    outputs: str = "outputs"
    task: dict[str, Any] = field(default_factory=dict)
    model: Model = field(default_factory=Model)
    dataset: Dataset = field(default_factory=Dataset)
    reward: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] | None = None
    sandbox: dict[str, Any] = field(default_factory=dict)
    hub: Hub = field(default_factory=Hub)
    tracker: dict[str, Any] = field(default_factory=dict)
    engine: Engine = field(default_factory=Engine)
    accelerator: Accelerator = field(default_factory=Accelerator)
    eval: Eval = field(default_factory=Eval)
