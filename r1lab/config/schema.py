"""The words a run is made of, with their types and defaults.

These classes are never instantiated by a run: their fields fill the config that Hydra composes, and `plan` reads their
annotations to tell a wrong word or type from a right one. What belongs to one option only (a reward's parameters, a
dataset's loader, a task's knobs) is declared by that option's own file or by the signature of its `_target_`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from r1lab.config.model import Model


@dataclass
class Adapter:
    """Small trained weights beside the frozen ones; `none` trains the model itself.

    The remaining keys of an option are those of its `_target_`. `quantisation` holds parameters of
    transformers.BitsAndBytesConfig for the frozen weights. `merge` puts the adapter into the model that is saved;
    the adapter alone is kept in either case.
    """

    name: str = "none"
    _target_: str | None = None
    merge: bool = True
    quantisation: dict[str, Any] | None = None


@dataclass
class Dataset:
    """Where rows come from and which column is what.

    `prompt` and `answer` name the columns that hold the problem and its gold answer; rewards see every column. SFT
    trains on `messages` (a whole conversation), else on `text`, else on `prompt` with `completion`, else on `prompt`
    with `answer`. `columns` lists what the dataset has, where that is known. `system_prompt` is put before every
    conversation; `own_system` says what becomes of one that a row has: "keep" or "replace". Rows beyond
    `max_prompt_tokens` or (SFT) `max_tokens` are left out; `too_long` says what becomes of rows that do not fit:
    "refuse", "drop", or (SFT) "truncate"; null is refuse, and truncate for SFT. The remaining keys of an option are the
    parameters of its loader, `_target_`.
    """

    name: str = "???"
    _target_: str = "???"
    prompt: str | None = "problem"
    answer: str | None = "answer"
    messages: str | None = None
    text: str | None = None
    completion: str | None = None
    columns: list[str] | None = None
    system_prompt: str | None = None
    own_system: str = "keep"
    max_prompt_tokens: int | None = None
    max_tokens: int | None = None
    too_long: str | None = None
    diagnose: str | None = None


@dataclass
class Engine:
    """How completions are made: `transformers` and `vllm` in this process, `server` by servers of OpenAI's chat API.

    `shortcuts` lets completions share the work they have in common; false runs the library's own code, step by step.

    `urls` are servers that are there already, up to and with /v1; null: r1lab starts `vllm serve` (`command`; null: the
    one beside this Python, else on PATH). `model` is what the servers call the model; null: the only one they have.
    Each server has `in_flight` requests at once; a completion is tried `tries` times and may take `timeout` seconds;
    without any server for `patience` seconds the run ends. A server that r1lab starts has `start_timeout` seconds to be
    ready.

    For vLLM: `tensor_parallel` × `pipeline_parallel` GPUs hold the model, `data_parallel` times; `max_model_len` is its
    context in tokens, `gpu_memory_utilization` the share of a GPU that it takes; `arguments` are further ones of
    `vllm serve` or, in process, of vllm.LLM, by name: engine.arguments.max_num_seqs=64.

    For GRPO, `mode` says whether vLLM runs in the training processes (`colocate`; with `sleep` it gives its memory back
    while the model trains) or as a `server` on `gpus` GPUs of its own, of `nodes` whole nodes, or at `urls`.
    """

    name: str = "transformers"
    shortcuts: bool = True
    urls: list[str] | None = None
    model: str | None = None
    in_flight: int = 64
    tries: int = 6
    timeout: float = 900.0
    patience: float = 120.0
    command: str | None = None
    start_timeout: float = 1800.0
    mode: str = "colocate"
    gpus: int | None = None
    nodes: int = 0
    tensor_parallel: int = 1
    data_parallel: int = 1
    pipeline_parallel: int = 1
    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    sleep: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass
class Accelerator:
    """Which devices train, and how training is spread over them.

    `kind` is auto, single, ddp, zero (DeepSpeed, with `stage` 1, 2 or 3) or fsdp (PyTorch's FSDP2); `offload` keeps the
    optimizer in the nodes' memory. `processes` counts training processes on each of `nodes`; null: one to each GPU that
    serves no other end, one on a CPU. `gpus` (on each node, those that generate included), `gpu` (its name, such as
    h100) and `gpu_memory` (GiB) say what a run is planned for; null: this machine. `mixed_precision` is no, bf16 or
    fp16; null: as the model's dtype, or `trainer.bf16` and `trainer.fp16`, say. `threads` are those of a process.
    `timeout` is the seconds after which a process that waits for the others gives up; a node of several that has given
    no sign of life for `silence` seconds is lost, and the run ends or goes back to its queue.
    """

    name: str = "auto"
    kind: str = "auto"
    stage: int = 0
    offload: bool = False
    nodes: int = 1
    processes: int | None = None
    gpus: int | None = None
    gpu: str | None = None
    gpu_memory: float | None = None
    mixed_precision: str | None = None
    device: str = "auto"
    threads: int | None = None
    timeout: int = 1800
    silence: float = 60.0


@dataclass
class Cluster:
    """Where the run's processes start: `kind` is local (this machine, now) or slurm (nodes from its queue).

    What Slurm is asked for; null leaves it to Slurm: `partition`, `account`, `qos`, `constraint`, `time` (the longest a
    job may take: minutes, "hours:minutes:seconds" or "days-hours:minutes:seconds"), and of each node `gpus` (null: as
    many as the accelerator needs), `cpus` (cores) and `memory` ("64G"; 0 is all). `options` are any others of sbatch's.

    `parallel` is the most runs of one job array at once. `wait` false returns as soon as the runs are in the queue.
    `after` lists jobs that must have finished well before. `requeue` lets a run that was preempted, lost its node or
    reached its time go back to the queue; `warning` is the seconds before its end at which it saves a checkpoint for
    that.
    `container` is an image for pyxis, with `mounts`; `setup` are shell lines before Python starts on a node, and
    `python` is the interpreter there, null for this one.
    """

    name: str = "local"
    kind: str = "local"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: str | int | None = None
    gpus: int | None = None
    cpus: int | None = None
    memory: str | int | None = None
    exclusive: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    parallel: int | None = None
    wait: bool = True
    after: list[str | int] = field(default_factory=list)
    requeue: bool = True
    warning: int = 120
    container: str | None = None
    mounts: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    python: str | None = None


@dataclass
class Eval:
    """Held-out problems sampled before the first step, along the way and after the last.

    `problems` = 0 turns it off; `every` is the share of the run between two evaluations (0 = only first and last).
    `checkpoints` are commands, as typed, that evaluate every checkpoint as runs of their own in Slurm's queue:
    ["task=eval dataset=math-500 cluster=cpu"].
    """

    problems: int = 400
    every: float = 0.2
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    max_tokens: int = 512
    batch: int = 200
    checkpoints: list[str] = field(default_factory=list)


@dataclass
class Benchmark:
    """Problems with known answers: where they are, how they are asked, how often, and who judges the completions.

    Problems are the `split` of a Hub dataset (`repo`, with `config`, `revision` and, of one without a loader, `files`),
    the rows of local files (`path`, which counts before `repo`), or the held-out rows of a dataset that r1lab ships
    (`dataset`). `problems` takes the first so many. `id` is the column that names a problem, `answer` the one with its
    gold answer.

    `form` says what a row becomes: "text" as it is, "choices" (options in an order drawn by `order_seed`, the answer a
    letter), "program" (tests of LiveCodeBench's form) or "contest" (subtasks of one problem, sharing its submissions).
    `prompt` is Jinja over the row's columns and what the form adds, or a file with it; `system_prompt` comes before it.
    `scorer` is one reward, as an entry of `reward` describes it. `samples` of each problem are drawn at `temperature`,
    `top_p` and at most `max_tokens` tokens; pass@k, avg@n and maj@k are told for each k of `k`. `lighteval` is the task
    that evaluator=lighteval evaluates with, as MODULE/TASK of lighteval.tasks.tasks.
    """

    repo: str | None = None
    path: str | None = None
    dataset: str | None = None
    config: str | None = None
    revision: str | None = None
    split: str = "test"
    files: list[str] | None = None
    problems: int | None = None
    id: str | None = None
    answer: str | None = None
    form: str = "text"
    order_seed: int = 0
    prompt: str = "???"
    system_prompt: str | None = None
    scorer: dict[str, Any] = field(default_factory=dict)
    lighteval: str | None = None
    samples: int = 1
    k: list[int] = field(default_factory=list)
    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 32768


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
class Sweep:
    """A command of several runs, `-m`, given again: it goes on with the sweep that it began.

    What is done is left alone, what was interrupted goes on, what failed because of a server, a network, a disk or a
    node is tried again, `retries` times by itself; what ran out of memory is tried with a smaller per-device batch at
    the same global batch. `failed` says what becomes of a run that failed by its own fault: "keep" or "retry". `new`
    begins another sweep. The best run is the one with the most of `objective`, or with the least of a loss or a time;
    `direction` says which: "maximize" or "minimize".
    """

    new: bool = False
    retries: int = 2
    failed: str = "keep"
    direction: str | None = None


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
    benchmark: dict[str, Any] = field(default_factory=dict)
    evaluator: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] | None = None
    sandbox: dict[str, Any] = field(default_factory=dict)
    adapter: Adapter = field(default_factory=Adapter)
    hub: Hub = field(default_factory=Hub)
    tracker: dict[str, Any] = field(default_factory=dict)
    engine: Engine = field(default_factory=Engine)
    generator: dict[str, Any] = field(default_factory=dict)
    accelerator: Accelerator = field(default_factory=Accelerator)
    cluster: Cluster = field(default_factory=Cluster)
    eval: Eval = field(default_factory=Eval)
    sweep: Sweep = field(default_factory=Sweep)
