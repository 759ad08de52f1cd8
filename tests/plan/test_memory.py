"""The memory model against torch's own tensors, torch's tracker on real shapes, the ZeRO paper and published runs.

Expected error: none for weights, gradients and AdamW's states; 10 % for the peak of a training step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from r1lab.plan import resident
from r1lab.plan.memory import GIB, LIBRARIES, RESERVE, memory_of
from r1lab.plan.parameters import Shape
from r1lab.plan.setup import Setup

TINY = Shape(2, 32, 64, 4, 2, 128, 8, True)
SMALL = Shape(28, 1536, 8960, 12, 2, 151936, 128, True)  # Qwen2.5-1.5B
SEVEN = Shape(28, 3584, 18944, 28, 4, 152064, 128, False)  # Qwen2.5-7B
THIRTY = Shape(64, 5120, 27648, 40, 8, 152064, 128, False)  # Qwen2.5-32B
SEVENTY = Shape(80, 8192, 28672, 64, 8, 128256, 128, False, False)  # Llama-3.3-70B
H100: dict[str, Any] = {"memory": 79.1, "checkpointing": True, "attention": "flash_attention_2"}


def qwen2(shape: Shape, dtype: torch.dtype) -> transformers.PreTrainedModel:
    config = transformers.Qwen2Config(
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
        attn_implementation="sdpa",
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # a tensor of the tracker's cannot be cast later
    try:
        return transformers.Qwen2ForCausalLM(config).train()
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "optim"), [("adamw_torch", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_states_are_exact(dtype: torch.dtype, name: str, optim: Any) -> None:
    model = qwen2(TINY, dtype)
    optimizer = optim(model.parameters(), lr=1e-3)
    model(torch.zeros(1, 4, dtype=torch.long)).logits.sum().backward()
    optimizer.step()
    setup = Setup(TINY, dtype.itemsize, optim=name)
    assert resident.weight_bytes(setup) == sum(item.nbytes for item in model.parameters())
    assert resident.gradient_bytes(setup) == sum(
        item.grad.nbytes for item in model.parameters() if item.grad is not None
    )
    moments = [item for state in optimizer.state.values() for item in state.values() if item is not None]
    held = sum(item.nbytes for item in moments if item.ndim > 0)  # but for a count of steps for each weight
    assert resident.optimizer_bytes(setup) == (held, 0.0)


def tracked_peak(shape: Shape, rows: int, length: int, checkpointing: bool) -> float:
    """GiB at the peak of a second training step, by torch's tracker on tensors that are never allocated."""
    from trl.trainer.utils import add_fused_lm_head

    with FakeTensorMode():
        model = qwen2(shape, torch.bfloat16)
        add_fused_lm_head(model, outputs=("log_probs", "entropy"))
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        tracker = MemTracker()
        tracker.track_external(model, optimizer)
        with tracker:
            for _ in range(2):
                tracker.reset_mod_stats()
                ids = torch.zeros(rows, length, dtype=torch.long)
                model(input_ids=ids, labels=ids, fused_lm_head=True).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                peak = tracker.get_tracker_snapshot("peak")
    return sum(size for sizes in peak.values() for kind, size in sizes.items() if str(kind).endswith("Total")) / GIB


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("shape", "layers", "rows", "checkpointing"),
    [(SMALL, 4, 2, False), (SMALL, 4, 2, True), (SEVEN, 4, 8, True), (SEVEN, 8, 8, True)],
)
def test_a_step_peaks_where_torch_says(shape: Shape, layers: int, rows: int, checkpointing: bool) -> None:
    cut = replace(shape, layers=layers)
    setup = Setup(cut, 2, rows=rows, length=1024, packed=True, checkpointing=checkpointing, on_cpu=True)
    total = (memory_of(setup).total - LIBRARIES) / GIB
    assert 0.97 < total / tracked_peak(cut, rows, 1024, checkpointing) < 1.10


def test_zero_is_that_of_the_paper() -> None:
    """Figure 1 of Rajbhandari et al. 2020: 7.5 billion parameters, 64 GPUs, Adam: 120, 31.4, 16.6 and 1.9 GB."""
    shape = replace(SEVEN, given=7_500_000_000)
    sums = []
    for stage in (0, 1, 2, 3):
        setup = Setup(shape, 2, kind="zero", stage=stage, world=64)
        if stage == 0:  # as every GPU would hold it: mixed precision with a float32 copy
            setup = replace(setup, stage=1, world=1)
        kept = resident.weight_bytes(setup) + resident.gradient_bytes(setup) + resident.optimizer_bytes(setup)[0]
        sums.append(round(kept / 1e9, 1))
    assert sums == [120.0, 31.4, 16.6, 1.9]


def test_offloading_moves_the_states_to_the_node() -> None:
    on = memory_of(Setup(SEVEN, 2, kind="zero", stage=3, world=8, per_node=8, **H100))
    off = memory_of(Setup(SEVEN, 2, kind="zero", stage=3, world=8, per_node=8, offload=True, **H100))
    assert "optimizer" not in {name for name, size in off.parts.items() if size}
    assert on.total - off.total > 0.9 * on.parts["optimizer"]
    assert off.host == pytest.approx(SEVEN.total * (12 + 4))
    assert on.host == 0


def test_fsdp_holds_float32_and_shards_it() -> None:
    setup = Setup(SEVEN, 2, kind="fsdp", world=8, compute=2)
    kept = resident.weight_bytes(setup) + resident.gradient_bytes(setup) + resident.optimizer_bytes(setup)[0]
    assert kept == pytest.approx(16 * SEVEN.total / 8)


def test_eight_bit_moments() -> None:
    plain, small = (resident.moment_bytes(name, 4) for name in ("adamw_torch", "paged_adamw_8bit"))
    assert plain == 8
    assert small == pytest.approx(2 * (1 + 4 / 256))  # a float32 scale for each block of 256


def test_an_adapter_is_counted_as_peft_counts_it() -> None:
    from peft import LoraConfig, get_peft_model

    for targets in (["q_proj", "v_proj"], list(TINY.linear)):
        made = get_peft_model(qwen2(TINY, torch.bfloat16), LoraConfig(r=4, target_modules=targets))
        trained = [item for item in made.parameters() if item.requires_grad]
        setup = Setup(TINY, 2, adapter="lora", rank=4, targets=tuple(targets))
        assert setup.trained == sum(item.numel() for item in trained)
        assert resident.gradient_bytes(setup) == sum(item.nbytes for item in trained)
        assert resident.weight_bytes(setup) == sum(item.nbytes for item in made.parameters())


def zero(stage: int, world: int = 8, **more: Any) -> dict[str, Any]:
    return {"kind": "zero", "stage": stage, "world": world, "per_node": min(world, 8), **H100, **more}


PUBLISHED = {  # Open-R1's recipes, which ran on nodes of 80 GB GPUs
    "OpenR1-Distill-7B": Setup(SEVEN, 2, rows=2, length=32768, accumulation=8, liger=True, **zero(3)),
    "OlympicCoder-7B": Setup(SEVEN, 2, rows=2, length=32768, accumulation=8, liger=True, **zero(3)),
    "OlympicCoder-32B": Setup(
        THIRTY, 2, kind="fsdp", world=128, per_node=8, length=22528, optim="paged_adamw_8bit", **H100
    ),
    "1.5B SFT, packed": Setup(SMALL, 2, rows=16, length=16384, packed=True, **zero(3)),
    "1.5B GRPO": Setup(SMALL, 2, rows=16, length=1536, accumulation=4, vllm="colocate", share=0.7, **zero(2)),
    "R1-Distill-1.5B GRPO": Setup(SMALL, 2, rows=16, length=2560, accumulation=4, vllm="server", **zero(2, 7)),
    "1.5B GRPO code": Setup(SMALL, 2, rows=16, length=3072, accumulation=4, reference=True, **zero(2, 7)),
    "Coder-7B GRPO": Setup(SEVEN, 2, rows=4, length=10192, accumulation=32, vllm="server", **zero(3)),
    "SimpleRL-7B GRPO": Setup(SEVEN, 2, rows=16, length=1536, accumulation=8, vllm="server", **zero(2, 7)),
}
TOO_LARGE = {
    "7B, AdamW and float32 weights, one GPU": Setup(SEVEN, 4, compute=2, mixed=True, length=1024, **H100),
    "7B, ZeRO of one GPU": Setup(SEVEN, 2, length=1024, **zero(2, 1)),
    "7B, DDP": Setup(SEVEN, 4, compute=2, mixed=True, kind="ddp", world=8, length=1024, **H100),
    "32B, stage 2": Setup(THIRTY, 2, length=1024, **zero(2)),
    "70B, stage 2": Setup(SEVENTY, 2, length=1024, **zero(2)),
    "70B, stage 3, one node": Setup(SEVENTY, 2, length=1024, **zero(3)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_runs_fit(name: str) -> None:
    assert memory_of(PUBLISHED[name]).fits, memory_of(PUBLISHED[name])


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_cannot_fit_does_not(name: str) -> None:
    assert not memory_of(TOO_LARGE[name]).fits, memory_of(TOO_LARGE[name])


def test_moments_do_not_add_up() -> None:
    memory = memory_of(Setup(SMALL, 2, rows=4, length=2048, sampled=64, sample_length=2048, **H100))
    fixed = sum(memory.parts[name] for name in ("libraries", "weights", "optimizer"))
    widest = max(memory.parts["gradients"] + memory.parts["forward and backward"], memory.parts["sampling"])
    assert memory.total == pytest.approx(fixed + widest * (1 + RESERVE))


def test_vllm_gives_its_share_back_only_when_it_sleeps() -> None:
    setup = Setup(SMALL, 2, rows=4, length=1024, vllm="colocate", share=0.5, **H100)
    awake, asleep = memory_of(setup), memory_of(replace(setup, sleeps=True))
    assert awake.parts["vLLM"] == 0.5 * 79.1 * GIB
    assert awake.total - asleep.total == pytest.approx(min(0.5 * 79.1 * GIB, awake.total - asleep.total))
    assert asleep.total < awake.total


def test_whole_logits_are_seen() -> None:
    setup = Setup(SEVEN, 2, rows=8, length=8192, **zero(3))
    assert memory_of(replace(setup, whole_logits=True)).total - memory_of(setup).total > 60 * GIB
