"""What the memory of a run depends on, taken from its config once, so that other choices can be tried on a copy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig

from r1lab.plan.batch import batch_of, world_of
from r1lab.plan.devices import device_memory
from r1lab.plan.parameters import Shape, shape_of

PROMPT = 512  # tokens assumed of the longest prompt where nothing says them: Open-R1's GRPO recipes allow as many,
PROMPTS_SHARE = 8  # in contexts of 4,096: an eighth of a smaller one
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ATTENTION_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class Setup:
    """One way to train or to sample.

    Attributes:
        shape: the model's numbers.
        weight: bytes of a weight as it is loaded.
        kind, stage, offload, world, per_node: as in `schema.Accelerator`; `world` counts training processes in all.
        compute: bytes of an activation's element.
        mixed: float32 weights under autocast, which keeps copies of them in 16 bits.
        rows, length: of one forward pass of one process, in rows and tokens of the longest row.
        packed: every row is full, so none is padded and none may turn out shorter.
        sampled, sample_length: rows that a process samples at once with its own model, and their tokens.
        vllm: "" or colocate or server; `share` of a GPU that a colocated one takes, split over `tensor` GPUs, and
            whether it gives that back (`sleeps`) while the model trains.
        adapter: "", lora or qlora, of `rank` on the matrices `targets`.
        whole_logits: the loss goes without TRL's fused head.
        memory: GiB of a device; None where unknown.
    """

    shape: Shape
    weight: int
    kind: str = "single"
    stage: int = 0
    offload: bool = False
    world: int = 1
    per_node: int = 1
    trains: bool = True
    compute: int = 2
    mixed: bool = False
    optim: str = "adamw_torch_fused"
    rows: int = 1
    length: int = 1
    accumulation: int = 1
    packed: bool = False
    checkpointing: bool = False
    liger: bool = False
    attention: str = "sdpa"
    reference: bool = False
    whole_logits: bool = False
    sampled: int = 0
    sample_length: int = 0
    vllm: str = ""
    share: float = 0.0
    tensor: int = 1
    sleeps: bool = False
    adapter: str = ""
    rank: int = 0
    targets: tuple[str, ...] = ATTENTION_TARGETS
    on_cpu: bool = False
    memory: float | None = None

    @property
    def trained(self) -> int:
        """Parameters that have gradients: all, or the adapter's, r × (inputs + outputs) a matrix (Hu et al. 2021)."""
        if not self.adapter:
            return self.shape.total
        sizes = [size for name, size in self.shape.linear.items() if name in self.targets]
        return sum(count * self.rank * (inputs + outputs) for inputs, outputs, count in sizes)


def setup_of(cfg: DictConfig) -> Setup | None:
    """The setup of a resolved run; None where the model's numbers are not known."""
    shape = shape_of(cfg.model)
    if shape is None:
        return None
    accelerator, trainer = cfg.accelerator, cfg.get("trainer")
    base = Setup(
        shape=shape,
        weight=BYTES.get(cfg.model.dtype, 4),
        compute=BYTES.get(cfg.model.dtype, 4),
        attention="sdpa" if cfg.model.attention == "auto" else cfg.model.attention,
        on_cpu=accelerator.device == "cpu",
        memory=device_memory(accelerator),
        trains=bool(trainer),
    )
    prompt = prompt_tokens(cfg)
    if cfg.eval.problems or not trainer:
        sampled = int(cfg.eval.batch) if trainer or cfg.task.name == "eval" else int(cfg.task.get("problems") or 200)
        base = replace(base, sampled=min(sampled, 200), sample_length=prompt + int(cfg.eval.max_tokens))
    return _trained(base, cfg, prompt) if trainer else base


def _trained(base: Setup, cfg: DictConfig, prompt: int) -> Setup:
    trainer, accelerator, batch = cfg.trainer, cfg.accelerator, batch_of(cfg)
    precision = accelerator.get("mixed_precision") or ("bf16" if trainer.get("bf16") else "no")
    if trainer.get("fp16"):
        precision = "fp16"
    kind, halves = accelerator.get("kind", "single"), precision != "no"
    packed = bool(trainer.get("packing") or trainer.get("padding_free"))
    limits = (trainer.get("max_length"), cfg.dataset.get("max_tokens"), cfg.model.get("context"))
    length = min((int(limit) for limit in limits if limit), default=1024)
    if batch.generations:
        packed, length = False, prompt + int(trainer.get("max_completion_length") or 512)
    found = replace(
        base,
        kind=kind,
        stage=accelerator.get("stage", 0),
        offload=accelerator.get("offload", False),
        world=world_of(accelerator),
        per_node=accelerator.processes,
        weight=2
        if kind == "zero" and halves
        else base.weight,  # DeepSpeed casts the weights, and keeps float32 ones apart
        compute=2 if halves else base.compute,
        mixed=halves and base.weight == 4 and kind in ("single", "ddp"),
        optim=str(trainer.get("optim") or "adamw_torch_fused"),
        rows=batch.per_device,
        length=int(length),
        accumulation=batch.accumulation,
        packed=packed,
        checkpointing=bool(trainer.get("gradient_checkpointing")),
        liger=bool(trainer.get("use_liger_kernel") or cfg.model.get("kernels")),
        reference=bool(batch.generations and trainer.get("beta", 0.0)),
        whole_logits=bool(trainer.get("label_smoothing_factor")),
    )
    return _adapted(_generating(found, cfg, batch.per_device * batch.steps_per_generation, int(length)), cfg)


def _generating(base: Setup, cfg: DictConfig, completions: int, length: int) -> Setup:
    """With what the sampling of GRPO's completions adds."""
    trainer = cfg.trainer
    if not completions or not trainer.get("use_vllm"):
        more = base.sampled * base.sample_length < completions * length
        return replace(base, sampled=completions, sample_length=length) if more else base
    mode = trainer.get("vllm_mode", "colocate")
    share = trainer.get("vllm_gpu_memory_utilization", 0.3)
    tensor = cfg.engine.tensor_parallel
    sleeps = trainer.get("vllm_enable_sleep_mode", False)
    return replace(base, vllm=str(mode), share=float(share), tensor=int(tensor), sleeps=bool(sleeps))


def _adapted(base: Setup, cfg: DictConfig) -> Setup:
    adapter: Any = cfg.get("adapter")
    name = str(adapter.get("name") or "") if adapter else ""
    if name not in ("lora", "qlora"):
        return base
    targets = adapter.get("target_modules") or ATTENTION_TARGETS
    chosen = tuple(base.shape.linear) if targets in ("all-linear", "all") else tuple(map(str, targets))
    return replace(base, adapter=name, rank=int(adapter.get("r") or 16), targets=chosen, reference=False)


def prompt_tokens(cfg: DictConfig) -> int:
    """Tokens of the longest prompt, as the dataset's file says, else as assumed; by the context."""
    said = cfg.dataset.get("max_prompt_tokens")
    context = cfg.model.get("context")
    return int(said or (min(PROMPT, max(1, context // PROMPTS_SHARE)) if context else PROMPT))
