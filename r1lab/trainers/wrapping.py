"""How training is spread: the libraries' settings from `accelerator`, and whether they did what was asked.

A launch that quietly trains with one process, or without sharding, is an error: everything that was asked for is looked
at once the model is wrapped.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import torch
import torch.distributed as dist
from omegaconf import DictConfig
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments
from trl.models import unwrap_model_for_generation

from r1lab.errors import RunError
from r1lab.runs import manifest
from r1lab.runs.folder import RunFolder
from r1lab.trainers import ranks


def settings(cfg: DictConfig) -> dict[str, Any]:
    """Fields of transformers.TrainingArguments for the run's accelerator."""
    accelerator = cfg.accelerator
    values: dict[str, Any] = {"ddp_timeout": int(accelerator.timeout)}
    if accelerator.device == "cpu":
        values["use_cpu"] = True
        if "WORLD_SIZE" in os.environ:
            values["ddp_backend"] = "gloo"
    if accelerator.kind == "ddp":
        values |= {"ddp_find_unused_parameters": False}
    if accelerator.kind == "zero":
        values["deepspeed"] = deepspeed_config(int(accelerator.stage), bool(accelerator.offload))
    if accelerator.kind == "fsdp":
        values |= {"fsdp": True, "fsdp_config": fsdp_config(bool(accelerator.offload))}
    return values


def deepspeed_config(stage: int, offload: bool) -> dict[str, Any]:
    """DeepSpeed's configuration (Rajbhandari et al. 2020); what is "auto" is filled in from the trainer's fields."""
    zero: dict[str, Any] = {"stage": stage, "contiguous_gradients": True, "overlap_comm": True}
    if stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True  # whole weights in every checkpoint
    if offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    return {
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "steps_per_print": 10**9,
    }


def fsdp_config(offload: bool) -> dict[str, Any]:
    """transformers' settings of FSDP2: every layer of the model is sharded, and checkpoints hold whole weights."""
    return {
        "version": 2,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "reshard_after_forward": True,
        "cpu_offload": offload,
        "state_dict_type": "FULL_STATE_DICT",
    }


def start_deepspeed() -> None:
    """Connect DeepSpeed's processes by what connects torch's.

    On a CPU it would compile an operator for shared memory at first use, for a minute: gloo does without.
    """
    deepspeed = import_module("deepspeed")
    if dist.get_backend() == "gloo":
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend=dist.get_backend())


def sharded(accelerator: DictConfig) -> bool:
    """Whether the weights themselves are spread over the processes."""
    return bool(accelerator.kind == "fsdp" or (accelerator.kind == "zero" and accelerator.stage == 3))


def whole_weights(trainer: Trainer) -> AbstractContextManager[Any]:
    """The weights of a model that ZeRO-3 has spread, gathered in every process; nothing to do for any other."""
    if wrapper(trainer.model_wrapped) != "zero3":
        return nullcontext()
    return unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator)


def check_world(cfg: DictConfig, args: TrainingArguments) -> None:
    """Refuse to train with other processes than were asked for.

    Raises:
        RunError: there are fewer or more, or they are connected otherwise.
    """
    wanted = int(cfg.accelerator.processes * cfg.accelerator.nodes)
    if args.world_size != wanted or ranks.world() != wanted:
        raise RunError(
            f"accelerator={cfg.accelerator.name} asks for {wanted} training processes; {args.world_size} were connected"
        )
    backend = "gloo" if cfg.accelerator.device == "cpu" else "nccl"
    if wanted > 1 and backend not in dist.get_backend():
        raise RunError(f"the training processes are connected by {dist.get_backend()}, not by {backend}")
    device = args.device.type
    if device != cfg.accelerator.device:
        raise RunError(f"accelerator.device={cfg.accelerator.device}, and this process trains on {device}")


class Wrapping(TrainerCallback):
    """Looks, before the first step, whether the model is wrapped as the accelerator asks.

    Args:
        trainer: whose model it is.
        accelerator: the run's `accelerator` node.
        folder: the run's, whose manifest says what was found.
    """

    def __init__(self, trainer: Trainer, accelerator: DictConfig, folder: RunFolder | None = None):
        self.trainer = trainer
        self.accelerator = accelerator
        self.folder = folder

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        found = wrapper(self.trainer.model_wrapped)
        kind, stage = str(self.accelerator.kind), int(self.accelerator.stage)
        wanted = f"zero{stage}" if kind == "zero" else kind
        if wanted == "ddp" and args.world_size == 1:
            wanted = "single"
        if found != wanted:
            name = self.accelerator.name
            raise RunError(f"accelerator={name} asks for {wanted}, and the model is wrapped as {found}")
        if self.folder:
            backend = dist.get_backend() if dist.is_initialized() else "none"
            spread = {"processes": args.world_size, "wrapper": found, "backend": backend}
            manifest.add(self.folder, spread={**spread, "device": args.device.type})


def wrapper(model: torch.nn.Module) -> str:
    """How a model is wrapped: single, ddp, zero1 to zero3 or fsdp, as the libraries' own types tell."""
    model = getattr(model, "_orig_mod", model)  # torch.compile's wrapper spreads nothing
    if isinstance(model, DistributedDataParallel):
        return "ddp"
    if type(model).__name__ == "DeepSpeedEngine":
        return f"zero{model.zero_optimization_stage()}"  # type: ignore[operator]
    if isinstance(model, FSDPModule):
        return "fsdp"
    return "DataParallel" if isinstance(model, torch.nn.DataParallel) else "single"
