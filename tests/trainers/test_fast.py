"""`FastGRPO` against `GRPOTrainer` on the same completions."""

import copy

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    TrainerCallback,
)
from trl import GRPOConfig, GRPOTrainer

from r1lab.models.tiny import tokenizer
from r1lab.trainers import fast
from r1lab.trainers.fast import FastGRPO

TOKENIZER = tokenizer()
EOS, PAD, VOCAB = TOKENIZER.eos_token_id, TOKENIZER.pad_token_id, len(TOKENIZER)
IDS = dict(vocab_size=VOCAB, eos_token_id=EOS, pad_token_id=PAD, bos_token_id=None)
SIZE = dict(
    IDS,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
)
CONFIGS = {
    "qwen2": Qwen2Config(**SIZE),
    "qwen2-eager": Qwen2Config(**SIZE, attn_implementation="eager"),
    "qwen3": Qwen3Config(**SIZE, head_dim=8),
    "llama": LlamaConfig(**SIZE),
    "mistral-sliding": MistralConfig(**SIZE, sliding_window=8, head_dim=8),
    "gemma2-sliding": Gemma2Config(
        **SIZE,
        head_dim=8,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"],
        attn_implementation="eager",
    ),
    "gpt2": GPT2Config(
        **IDS, n_embd=32, n_layer=2, n_head=4, n_positions=256, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0
    ),
}
LAYOUTS = {"accumulate": dict(gradient_accumulation_steps=4, steps_per_generation=4), "several steps": dict(gradient_accumulation_steps=1, steps_per_generation=4),
           "two of each": dict(gradient_accumulation_steps=2, steps_per_generation=4), "longer accumulation": dict(gradient_accumulation_steps=4, steps_per_generation=2)}  # fmt: skip


def make_model(name):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(CONFIGS[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    return model


def reward(completion_ids, **kwargs):
    return [float(sum(ids) % 3) if ids[0] % 4 else 0.0 for ids in completion_ids]


def dataset(n=64):
    generator = torch.Generator().manual_seed(0)
    words = [
        "add " + " ".join(str(int(x)) for x in torch.randint(0, 1000, (int(k),), generator=generator))
        for k in torch.randint(1, 9, (n,), generator=generator)
    ]
    return Dataset.from_list([{"prompt": [{"role": "user", "content": word}]} for word in words])


def build(cls, name="qwen2", tmp=".", **over):
    arguments = dict(output_dir=str(tmp), per_device_train_batch_size=8, num_generations=4, max_steps=4, learning_rate=0.05, optim="sgd", lr_scheduler_type="constant",
                     max_completion_length=12, loss_type="dapo", bf16=False, use_cpu=True, gradient_checkpointing=False, save_strategy="no", disable_tqdm=True,
                     report_to="none", logging_steps=1, beta=0.0, max_grad_norm=0.0, **LAYOUTS["accumulate"])  # fmt: skip
    arguments.update(over)
    return cls(
        model=make_model(name),
        args=GRPOConfig(**arguments),
        train_dataset=dataset(),
        processing_class=TOKENIZER,
        reward_funcs=[reward],
    )


def inject(trainer):
    """Let the trainer sample completions that depend on nothing but its calls: some repeated, some whole groups equal, some truncated."""
    calls = []

    def single_turn(prompt_ids, *args, **kwargs):
        generator = torch.Generator().manual_seed(len(calls))
        calls.append(prompt_ids)
        rows = []
        for i in range(len(prompt_ids)):
            if i % 4 and torch.rand((), generator=generator) < 0.5:
                rows.append(list(rows[-1]))  # as the one before
                continue
            n = int(torch.randint(1, 13, (), generator=generator))
            rows.append(torch.randint(5, VOCAB, (n - 1,), generator=generator).tolist() + [EOS if n < 12 else 9])
        trainer._sampled = None
        return rows, None

    trainer._generate_single_turn = single_turn


class Gradients(TrainerCallback):
    def __init__(self):
        self.steps = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.steps.append(
            {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
        )


def run(cls, inject_completions=True, flags=None, **over):
    trainer = build(cls, **over)
    for key, value in (flags or {}).items():
        setattr(trainer, key, value)
    gradients = Gradients()
    trainer.add_callback(gradients)
    if inject_completions:
        inject(trainer)
    trainer.train()
    return trainer, gradients.steps, [log for log in trainer.state.log_history if "reward" in log]


def compare(over, flags=None, metric_tolerance=1e-5):
    _, expected, expected_logs = run(GRPOTrainer, **over)
    trainer, actual, logs = run(FastGRPO, flags=flags, **over)
    assert len(expected) == len(actual) == 4 and any(g.abs().max() > 1e-3 for g in expected[0].values())
    for step, (a, b) in enumerate(zip(actual, expected)):
        for name in b:
            torch.testing.assert_close(
                a[name], b[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name, s=step: f"{n}, step {s}: {m}"
            )
    for a, b in zip(logs, expected_logs, strict=True):
        assert a.keys() == b.keys()
        for key in b.keys() - {"step_time"}:
            assert a[key] == pytest.approx(
                b[key], abs=1e-5 if key in ("loss", "grad_norm", "reward") else metric_tolerance, rel=1e-4
            ), key
    return trainer


@pytest.fixture
def count(monkeypatch):
    """How often the fast forward ran."""

    calls, forward = [], fast.shared_prompt_forward
    monkeypatch.setattr(fast, "shared_prompt_forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    return calls


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CONFIGS)
def test_same_numbers_in_the_same_micro_batches(name, layout, count):
    compare(dict(name=name, **LAYOUTS[layout]), flags=dict(regroup=False))
    assert count


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo", "cispo", "bnpo"])
def test_same_gradients_when_regrouped(layout, loss_type):
    """Metrics that average over micro-batches depend on which rows are together, at random in TRL too."""
    compare(dict(loss_type=loss_type, **LAYOUTS[layout]), metric_tolerance=0.5)


@pytest.mark.parametrize("over", [
    dict(temperature=0.7), dict(num_iterations=2), dict(scale_rewards="none"), dict(mask_truncated_completions=True), dict(importance_sampling_level="sequence"),
    dict(top_entropy_quantile=0.5), dict(entropy_coef=0.01), dict(off_policy_mask_threshold=0.5), dict(gradient_checkpointing=True), dict(pad_to_multiple_of=8),
    dict(loss_type="luspo", importance_sampling_level="sequence"), dict(loss_type="sapo"), dict(loss_type="vespo"), dict(delta=1.5),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("layout", ["accumulate", "several steps"])
def test_same_numbers_with_other_settings(over, layout):
    compare({**LAYOUTS[layout], **over}, flags=dict(regroup=False))


def test_same_numbers_with_a_reference_model(tmp_path, monkeypatch):
    make_model("qwen2").save_pretrained(tmp_path / "model")
    loaded = lambda name: AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    monkeypatch.setattr(__import__(__name__), "make_model", loaded)
    compare(dict(beta=0.1), flags=dict(regroup=False))


@pytest.mark.parametrize("temperature", [1.0, 0.8])
@pytest.mark.parametrize("name", ["qwen2", "qwen3", "llama", "mistral-sliding", "gemma2-sliding", "gpt2"])
def test_sampled_logprobs_are_the_old_logprobs(name, temperature, monkeypatch):
    trainer = build(FastGRPO, name=name, temperature=temperature, **LAYOUTS["several steps"])
    seen = []
    monkeypatch.setattr(
        GRPOTrainer, "_get_per_token_logps_and_entropies", lambda *a, **k: pytest.fail("TRL's own pass ran")
    )
    if name == "gpt2":
        assert not trainer._can_reuse_logprobs()
        return
    rows = [row for row in list(dataset())[:8] for _ in range(4)]
    batch = trainer._generate_and_score_completions([dict(row) for row in rows])
    monkeypatch.undo()
    with torch.no_grad():
        expected, _, _ = GRPOTrainer._get_per_token_logps_and_entropies(
            trainer, trainer.model, torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1), batch["completion_ids"].shape[1])  # fmt: skip
    torch.testing.assert_close(batch["old_per_token_logps"], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("over, fast", [
    ({}, True), (dict(top_p=0.9, top_k=20, min_p=0.01, temperature=0.8), True), (dict(repetition_penalty=1.2), False), (dict(generation_kwargs=dict(num_beams=1)), False),
    (dict(cache_implementation="static"), False), (dict(gradient_checkpointing=True), True),
], ids=str)  # fmt: skip
def test_where_sampling_falls_back(over, fast):
    trainer, steps, logs = run(FastGRPO, inject_completions=False, max_steps=1, **over)
    assert trainer._can_sample_fast() is fast and (trainer._sampled is not None) is fast and len(logs) == 1


def test_falls_back_for_settings_of_the_model():
    trainer = build(FastGRPO)
    trainer.model.generation_config.suppress_tokens = [7]
    assert not trainer._can_sample_fast()


@pytest.mark.parametrize(
    "dropout", [dict(name="qwen2", attention_dropout=0.1), dict(name="gpt2", resid_pdrop=0.1)], ids=str
)
def test_falls_back_with_dropout(dropout, monkeypatch, count):
    dropout = dict(dropout)
    name = dropout.pop("name")
    config = copy.deepcopy(CONFIGS[name])
    config.update(dropout)
    monkeypatch.setitem(CONFIGS, name, config)
    trainer, *_ = run(FastGRPO, inject_completions=False, max_steps=1, name=name)
    assert not trainer._plain and not count and trainer._sampled is None


def test_evaluation_runs():
    trainer = build(FastGRPO, per_device_eval_batch_size=8, num_generations_eval=2)
    metrics = trainer.evaluate(dataset(8))
    assert metrics["eval_reward"] >= 0 and trainer._sampled is not None


def test_is_repeatable():
    logs = [[(log["loss"], log["entropy"]) for log in run(FastGRPO, inject_completions=False)[2]] for _ in range(2)]
    assert logs[0] == logs[1]
