"""`FastGRPO` against `GRPOTrainer` on the same completions."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PrinterCallback,
    Qwen2Config,
    Qwen3Config,
    TrainerCallback,
)
from trl import GRPOConfig, GRPOTrainer

from r1lab.models.tiny import tokenizer
from r1lab.trainers import fast
from r1lab.trainers.fast import FastGRPO

pytestmark = pytest.mark.whole

TOKENIZER = tokenizer()
EOS, VOCABULARY = TOKENIZER.eos_token_id, len(TOKENIZER)
STEPS = 2
IDS = {
    "vocab_size": VOCABULARY,
    "eos_token_id": EOS,
    "pad_token_id": TOKENIZER.pad_token_id,
    "bos_token_id": None,
}
SIZE = {
    **IDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
MIXED = ["sliding_attention", "full_attention"]
CONFIGS = {
    "qwen2": Qwen2Config(**SIZE),
    "qwen2-eager": Qwen2Config(**SIZE, attn_implementation="eager"),
    "qwen3": Qwen3Config(**SIZE, head_dim=8),
    "llama": LlamaConfig(**SIZE),
    "mistral-sliding": MistralConfig(**SIZE, sliding_window=8, head_dim=8),
    "gemma2-sliding": Gemma2Config(
        **SIZE, head_dim=8, sliding_window=8, layer_types=MIXED, attn_implementation="eager"
    ),
    "gpt2": GPT2Config(**IDS, **NO_DROPOUT, n_embd=32, n_layer=2, n_head=4, n_positions=256),
}
DIFFERENT = ("qwen2", "gemma2-sliding", "gpt2")  # full attention, sliding and full, positions that are learnt
LAYOUTS = {
    "accumulate": {"gradient_accumulation_steps": 4, "steps_per_generation": 4},
    "several steps": {"gradient_accumulation_steps": 1, "steps_per_generation": 4},
    "two of each": {"gradient_accumulation_steps": 2, "steps_per_generation": 4},
    "longer accumulation": {"gradient_accumulation_steps": 4, "steps_per_generation": 2},
}
SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0.7},
    {"num_iterations": 2},
    {"scale_rewards": "none"},
    {"mask_truncated_completions": True},
    {"importance_sampling_level": "sequence"},
    {"top_entropy_quantile": 0.5},
    {"entropy_coef": 0.01},
    {"off_policy_mask_threshold": 0.5},
    {"gradient_checkpointing": True},
    {"pad_to_multiple_of": 8},
    {"loss_type": "luspo", "importance_sampling_level": "sequence"},
    {"loss_type": "sapo"},
    {"loss_type": "vespo"},
    {"delta": 1.5},
]


def slow_unless(condition: bool, *values: Any) -> Any:
    """A parameter set that only a slow run takes, unless the condition holds."""
    return pytest.param(*values, marks=[] if condition else [pytest.mark.slow])


def model_of(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(CONFIGS[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    return model


def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """0, 1 or 2 by the ids; 0 for whole groups."""
    return [float(sum(ids) % 3) if ids[0] % 4 else 0.0 for ids in completion_ids]


@cache
def dataset(count: int = 64) -> Dataset:
    """Prompts of many lengths."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(1, 9, (count,), generator=generator).tolist()
    numbers = [torch.randint(0, 1000, (n,), generator=generator).tolist() for n in counts]
    texts = ["add " + " ".join(map(str, items)) for items in numbers]
    return Dataset.from_list([{"prompt": [{"role": "user", "content": text}]} for text in texts])


def build(cls: type[GRPOTrainer], name: str = "qwen2", model: torch.nn.Module | None = None, **changes: Any) -> Any:
    arguments = {
        "output_dir": "unused",
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_steps": STEPS,
        "learning_rate": 0.05,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
        "max_completion_length": 12,
        "loss_type": "dapo",
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "logging_steps": 1,
        "beta": 0.0,
        "max_grad_norm": 0.0,
        **LAYOUTS["accumulate"],
        **changes,
    }
    trainer = cls(
        model=model or model_of(name),
        args=GRPOConfig(**arguments),
        train_dataset=dataset(),
        processing_class=TOKENIZER,
        reward_funcs=[reward],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


class Given:
    """Completions that depend on the number of the call alone: some repeated, some truncated, some groups all equal."""

    def __init__(self, trainer: GRPOTrainer):
        self.trainer = trainer
        self.calls = 0

    def __call__(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        generator = torch.Generator().manual_seed(self.calls)
        self.calls += 1
        rows: list[list[int]] = []
        for i in range(len(prompt_ids)):
            if i % 4 and torch.rand((), generator=generator) < 0.5:
                rows.append(list(rows[-1]))
                continue
            length = int(torch.randint(1, 13, (), generator=generator))
            text = torch.randint(5, VOCABULARY, (length - 1,), generator=generator).tolist()
            rows.append([*text, EOS if length < 12 else 9])
        self.trainer._sampled = None
        return rows, None


class Gradients(TrainerCallback):
    """Keeps every optimizer step's gradients."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        named = model.named_parameters()
        self.steps.append({name: item.grad.clone() for name, item in named if item.grad is not None})


def train(trainer: GRPOTrainer, given: bool = True) -> tuple[list[dict[str, torch.Tensor]], list[dict[str, float]]]:
    """Each step's gradients and metrics."""
    gradients = Gradients()
    trainer.add_callback(gradients)
    if given:
        trainer._generate_single_turn = Given(trainer)
    trainer.train()
    return gradients.steps, [log for log in trainer.state.log_history if "reward" in log]


@cache
def trls_own(changes: str) -> tuple[list[dict[str, torch.Tensor]], list[dict[str, float]]]:
    """What TRL's trainer does with some settings (JSON)."""
    return train(build(GRPOTrainer, **json.loads(changes)))


def compare(changes: dict[str, Any], regroup: bool = False, metric_tolerance: float = 1e-5) -> None:
    """Train both trainers and hold their gradients and metrics against each other."""
    expected, expected_logs = trls_own(json.dumps(changes, sort_keys=True))
    trainer = build(FastGRPO, **changes)
    trainer.regroup = regroup
    actual, logs = train(trainer)
    assert len(expected) == len(actual) == STEPS and any(item.abs().max() > 1e-3 for item in expected[0].values())
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], atol=1e-5, rtol=1e-4)
    for mine, other in zip(logs, expected_logs, strict=True):
        assert mine.keys() == other.keys()
        for key in other.keys() - {"step_time"}:
            tolerance = 1e-5 if key in ("loss", "grad_norm", "reward") else metric_tolerance
            assert mine[key] == pytest.approx(other[key], abs=tolerance, rel=1e-4), key


@pytest.fixture
def fast_passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows by one entry whenever prompts are shared in a forward pass."""
    calls: list[int] = []
    forward = fast.shared_prompt_forward

    def counted(*args: Any) -> Any:
        calls.append(1)
        return forward(*args)

    monkeypatch.setattr(fast, "shared_prompt_forward", counted)
    yield calls


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        slow_unless(name == "qwen2" or (name in DIFFERENT and layout == "two of each"), name, layout)
        for name in CONFIGS
        for layout in LAYOUTS
    ],
)
def test_same_numbers_in_the_same_micro_batches(name: str, layout: str, fast_passes: list[int]) -> None:
    compare({"name": name, **LAYOUTS[layout]})
    assert fast_passes


@pytest.mark.parametrize(
    ("loss_type", "layout"),
    [
        slow_unless(layout == ("two of each" if loss_type in ("dapo", "bnpo") else "accumulate"), loss_type, layout)
        for loss_type in ("grpo", "dapo", "dr_grpo", "cispo", "bnpo")
        for layout in LAYOUTS
    ],
)
def test_same_gradients_when_regrouped(loss_type: str, layout: str) -> None:
    """Metrics that average over micro-batches depend on which rows are together, at random in TRL too."""
    compare({"loss_type": loss_type, **LAYOUTS[layout]}, regroup=True, metric_tolerance=0.5)


@pytest.mark.parametrize(
    ("changes", "layout"),
    [
        slow_unless(layout == ("accumulate", "several steps")[number % 2] and number % 3 < 2, changes, layout)
        for number, changes in enumerate(SETTINGS)
        for layout in ("accumulate", "several steps")
    ],
    ids=str,
)
def test_same_numbers_with_other_settings(changes: dict[str, Any], layout: str) -> None:
    compare({**LAYOUTS[layout], **changes})


def test_same_numbers_with_a_reference_model(tmp_path: Any) -> None:
    model_of("qwen2").save_pretrained(tmp_path)  # the trainer loads the reference from where the model came from
    steps, logs = [], []
    for cls in (GRPOTrainer, FastGRPO):
        trainer = build(cls, model=AutoModelForCausalLM.from_pretrained(tmp_path), beta=0.1)
        trainer.regroup = False
        gradients, log = train(trainer)
        steps.append(gradients[-1])
        logs.append(log[-1])
    assert logs[0]["kl"] > 1e-4 and logs[1]["kl"] == pytest.approx(logs[0]["kl"], rel=1e-4)
    for name, gradient in steps[0].items():
        torch.testing.assert_close(steps[1][name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.8])
@pytest.mark.parametrize("name", [slow_unless(name in DIFFERENT, name) for name in CONFIGS if name != "gpt2"])
def test_sampled_logprobs_are_the_old_logprobs(name: str, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build(FastGRPO, name=name, temperature=temperature, **LAYOUTS["several steps"])
    own_pass = GRPOTrainer._get_per_token_logps_and_entropies
    monkeypatch.setattr(GRPOTrainer, own_pass.__name__, lambda *_, **__: pytest.fail("TRL's own pass ran"))
    batch = trainer._generate_and_score_completions([dict(row) for row in dataset(8) for _ in range(4)])
    monkeypatch.undo()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        expected, _, _ = own_pass(trainer, trainer.model, ids, mask, batch["completion_ids"].shape[1])
    torch.testing.assert_close(batch["old_per_token_logps"], expected, atol=1e-4, rtol=0)


def test_positions_that_are_learnt_are_not_taken_for_relative_ones() -> None:
    assert not build(FastGRPO, name="gpt2")._can_reuse_logprobs()


@pytest.mark.parametrize(
    ("changes", "fast"),
    [
        ({}, True),
        ({"top_p": 0.9, "top_k": 20, "min_p": 0.01, "temperature": 0.8}, True),
        ({"gradient_checkpointing": True}, True),
        ({"repetition_penalty": 1.2}, False),
        ({"generation_kwargs": {"num_beams": 1}}, False),
        ({"cache_implementation": "static"}, False),
    ],
    ids=str,
)
def test_where_sampling_falls_back(changes: dict[str, Any], fast: bool) -> None:
    trainer = build(FastGRPO, max_steps=1, **changes)
    _, logs = train(trainer, given=False)
    assert trainer._can_sample_fast() is fast and (trainer._sampled is not None) is fast and len(logs) == 1


def test_sampling_falls_back_for_settings_of_the_model() -> None:
    trainer = build(FastGRPO)
    trainer.model.generation_config.suppress_tokens = [7]
    assert not trainer._can_sample_fast()


@pytest.mark.parametrize(("name", "rate"), [("qwen2", "attention_dropout"), ("gpt2", "resid_pdrop")])
def test_everything_falls_back_with_dropout(
    name: str, rate: str, monkeypatch: pytest.MonkeyPatch, fast_passes: list[int]
) -> None:
    config = copy.deepcopy(CONFIGS[name])
    setattr(config, rate, 0.1)
    monkeypatch.setitem(CONFIGS, name, config)
    trainer = build(FastGRPO, name=name, max_steps=1)
    train(trainer, given=False)
    assert not trainer._plain and not fast_passes and trainer._sampled is None


def test_each_shortcut_can_be_turned_off(fast_passes: list[int]) -> None:
    trainer = build(FastGRPO, max_steps=1)
    for shortcut in ("fast_sampling", "reuse_logprobs", "share_prompts", "regroup", "skip_zero_advantages"):
        assert getattr(trainer, shortcut) is True
        setattr(trainer, shortcut, False)
    train(trainer, given=False)
    assert trainer._sampled is None and not fast_passes


def test_evaluation_runs() -> None:
    trainer = build(FastGRPO, per_device_eval_batch_size=8, num_generations_eval=2)
    metrics = trainer.evaluate(dataset(8))
    assert metrics["eval_reward"] >= 0 and trainer._sampled is not None


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = (train(build(FastGRPO), given=False)[1] for _ in range(2))
    assert [(log["loss"], log["entropy"]) for log in first] == [(log["loss"], log["entropy"]) for log in second]
