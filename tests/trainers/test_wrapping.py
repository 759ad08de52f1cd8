"""The libraries' settings from an accelerator, and that a launch which degrades in silence is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from omegaconf import DictConfig
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from transformers import Qwen2Config, Qwen2ForCausalLM
from trl import SFTConfig

from r1lab.errors import RunError
from r1lab.notebook import compose
from r1lab.plan.checks import resolve
from r1lab.processes.health import free_port
from r1lab.trainers.wrapping import Wrapping, check_world, settings, wrapper


def config(*words: str) -> DictConfig:
    return resolve(compose("dry_run=true", *words))


def model() -> Qwen2ForCausalLM:
    numbers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=8, num_key_value_heads=2, **numbers))


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A group of one process."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "RANK": "0", "WORLD_SIZE": "1"}
    for name, value in address.items():
        monkeypatch.setenv(name, value)
    dist.init_process_group("gloo")
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(("stage", "gathers"), [(1, None), (2, None), (3, True)])
def test_deepspeeds_configuration(stage: int, gathers: bool | None) -> None:
    found = settings(config(f"accelerator=zero{stage}"))["deepspeed"]
    zero = found["zero_optimization"]
    assert zero["stage"] == stage and "offload_optimizer" not in zero
    assert zero.get("stage3_gather_16bit_weights_on_model_save") is gathers
    assert found["bf16"] == {"enabled": "auto"} and found["train_batch_size"] == "auto"
    assert found["gradient_accumulation_steps"] == found["gradient_clipping"] == "auto"


def test_offload() -> None:
    found = settings(config("accelerator=zero3-offload"))["deepspeed"]["zero_optimization"]
    assert found["offload_optimizer"] == {"device": "cpu", "pin_memory": True}


def test_fsdp_is_the_second_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers reads it, not only as r1lab writes it."""
    monkeypatch.setattr(os, "environ", dict(os.environ))  # transformers writes into it
    args = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **settings(config("accelerator=fsdp")))
    found: Any = args.fsdp_plugin_args
    assert found["fsdp_version"] == 2 and found["reshard_after_forward"] is True
    assert found["state_dict_type"] == "FULL_STATE_DICT" and not found.get("cpu_offload")
    assert found["auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"


def test_a_cpu_is_asked_for_and_gloo_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    cfg = config("accelerator=cpu", "accelerator.timeout=60")
    assert settings(cfg) == {"ddp_timeout": 60, "use_cpu": True}
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert settings(config("accelerator=cpu", "accelerator.processes=2"))["ddp_backend"] == "gloo"


def test_fewer_processes_than_asked_for(tmp_path: Path) -> None:
    cfg = config("accelerator=cpu", "accelerator.processes=2")
    args = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    with pytest.raises(RunError, match="accelerator=cpu asks for 2 training processes; 1 were connected"):
        check_world(cfg, args)
    check_world(config("accelerator=cpu"), args)


def test_another_device_than_asked_for(tmp_path: Path) -> None:
    args = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    with pytest.raises(RunError, match=r"accelerator\.device=cuda, and this process trains on cpu"):
        check_world(config("accelerator=single"), args)


def test_how_a_model_is_wrapped(group: None) -> None:
    assert wrapper(model()) == "single"
    assert wrapper(DistributedDataParallel(model())) == "ddp"
    sharded = model()
    fully_shard(sharded, mesh=init_device_mesh("cpu", (1,)))
    assert wrapper(sharded) == "fsdp"
    assert wrapper(torch.nn.DataParallel(model())) == "DataParallel"  # one process for several GPUs: never asked for


@pytest.mark.parametrize("words", [("accelerator=zero2",), ("accelerator=fsdp",), ("accelerator=ddp",)])
def test_sharding_that_did_not_happen(words: tuple[str, ...]) -> None:
    cfg = config(*words)
    wanted = {"accelerator=zero2": "zero2", "accelerator=fsdp": "fsdp", "accelerator=ddp": "ddp"}[words[0]]
    trainer: Any = SimpleNamespace(model_wrapped=model())
    args: Any = SimpleNamespace(world_size=8)
    with pytest.raises(RunError, match=f"asks for {wanted}, and the model is wrapped as single"):
        Wrapping(trainer, cfg.accelerator).on_train_begin(args, None, None)  # type: ignore[arg-type]
