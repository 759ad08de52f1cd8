"""`sample` against `model.generate` and a plain forward pass, on small models with random weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GenerationConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from r1lab.engines.base import Sampling
from r1lab.engines.sampler import RowDice, can_sample, draw, filter_scores, sample

EOS, PAD, VOCABULARY = 5, 0, 32
SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
    "bos_token_id": None,
}
CONFIGS = {
    "qwen2": lambda: Qwen2Config(**SIZE),
    "qwen2-eager": lambda: Qwen2Config(**SIZE, attn_implementation="eager"),
    "qwen3": lambda: Qwen3Config(**SIZE, head_dim=8),
    "llama": lambda: LlamaConfig(**SIZE),
    "mistral-sliding": lambda: MistralConfig(**SIZE, sliding_window=8, head_dim=8),
    "gemma2-sliding": lambda: Gemma2Config(
        **SIZE, head_dim=8, sliding_window=8, layer_types=["sliding_attention", "full_attention"]
    ),
}
DIFFERENT = ("qwen2", "mistral-sliding", "gemma2-sliding")  # full attention, a sliding window, both
NAMES = [name if name in DIFFERENT else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]


@cache
def model_of(name: str, scale: float = 0.4) -> PreTrainedModel:
    """A model whose distribution is spread out, so that rows end at different times."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, scale)
    return model


def prompts(*lengths: int) -> tuple[Tensor, Tensor]:
    """Ids and mask of random prompts, padded on the left by two columns more than they need."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.full((len(lengths), max(lengths) + 2), PAD)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, -length:] = torch.randint(6, VOCABULARY, (length,), generator=generator)
        mask[row, -length:] = 1
    return ids, mask


def eight_prompts() -> tuple[Tensor, Tensor]:
    """Of many lengths, one of them twice."""
    ids, mask = prompts(1, 3, 17, 17, 9, 2, 30, 5)
    ids[3] = ids[2]
    return ids, mask


def drawn(model: PreTrainedModel, ids: Tensor, mask: Tensor, ends: Any = (EOS,), seed: int = 0, **sampling: Any) -> Any:
    """`sample` with dice of its own."""
    dice = torch.Generator().manual_seed(seed)
    return sample(model, ids, mask, Sampling(**sampling), eos_token_ids=ends, pad_token_id=PAD, generator=dice)


@cache
def by_generate(name: str, tokens: int) -> list[list[int]]:
    """Greedy completions of `model.generate`, each up to its end token."""
    ids, mask = eight_prompts()
    output = model_of(name).generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, eos_token_id=EOS, pad_token_id=PAD
    )
    rows = output[:, ids.shape[1] :].tolist()
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tokens", [1, 40])
def test_greedy_completions_are_those_of_generate(name: str, tokens: int) -> None:
    assert can_sample(model_of(name))
    ids, lengths, _ = drawn(model_of(name), *eight_prompts(), max_tokens=tokens, temperature=0.0)
    assert [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)] == by_generate(
        name, tokens
    )
    assert ids.shape[1] == lengths.max()
    assert all((row[length:] == PAD).all() for row, length in zip(ids, lengths, strict=True))


def test_the_rows_above_end_at_different_times() -> None:
    lengths = {len(row) for name in DIFFERENT for row in by_generate(name, 40)}
    assert 40 in lengths and len(lengths) > 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_a_forward_pass(name: str, temperature: float) -> None:
    model, (ids, mask), ends = model_of(name, 0.2), eight_prompts(), torch.tensor([EOS, 7])
    out, lengths, logprobs = drawn(model, ids, mask, ends.tolist(), n=3, temperature=temperature, max_tokens=25)
    assert len(out) == 3 * len(ids) and len(lengths.unique()) > 3 and lengths.max() == 25
    for row, length in enumerate(lengths.tolist()):
        prompt, completion = ids[row // 3][mask[row // 3].bool()], out[row, :length]
        with torch.no_grad():
            logits = model(torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
        expected = (logits / temperature).log_softmax(-1).gather(1, completion[:, None]).squeeze(1)
        torch.testing.assert_close(logprobs[row, :length], expected, atol=1e-4, rtol=0)
        assert (logprobs[row, length:] == 0).all()
        stops = torch.isin(completion, ends).nonzero().flatten().tolist()
        assert stops == [length - 1] or (stops == [] and length == 25)


FILTERS = [{}, {"top_k": 4}, {"top_p": 0.6}, {"min_p": 0.2}, {"top_k": 6, "top_p": 0.8, "min_p": 0.1}]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_filters_are_those_of_transformers(filters: dict[str, Any]) -> None:
    scores = torch.randn(50, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 2
    settings = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, **filters}
    processors = model_of("qwen2")._get_logits_processor(GenerationConfig(**settings))
    expected = processors(torch.ones(50, 1, dtype=torch.long), scores.clone())
    torch.testing.assert_close(filter_scores(scores, **filters), expected)


def fits(counts: Tensor, probabilities: Tensor) -> bool:
    """Whether counts of tokens come from a distribution: chi-square within four standard deviations."""
    expected = probabilities.double() * counts.sum()
    often = expected >= 5
    seen = torch.cat([counts[often], counts[~often].sum()[None]]).double()
    expected = torch.cat([expected[often], expected[~often].sum()[None]])
    seen, expected = seen[expected > 0], expected[expected > 0]
    freedom = len(expected) - 1
    return bool(((seen - expected) ** 2 / expected).sum() < freedom + 4 * (2 * freedom) ** 0.5)


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.6}, {"top_k": 5}, {"top_p": 0.7}], ids=str)
def test_first_tokens_follow_the_model(settings: dict[str, Any]) -> None:
    model, (ids, mask), n = model_of("qwen2", 0.2), prompts(4, 9), 10_000
    out, *_ = drawn(model, ids, mask, n=n, max_tokens=1, **settings)
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = model(ids, attention_mask=mask, position_ids=position).logits[:, -1]
    filters = {name: value for name, value in settings.items() if name != "temperature"}
    expected = filter_scores(logits / settings.get("temperature", 1.0), **filters).softmax(-1)
    for prompt, probabilities in enumerate(expected):
        counts = out[prompt * n : (prompt + 1) * n, 0].bincount(minlength=VOCABULARY)
        assert (counts[probabilities == 0] == 0).all()
        assert fits(counts, probabilities)
    assert not fits(counts, expected[0])  # the other prompt's


def test_later_tokens_follow_the_model_after_rows_have_left() -> None:
    """The second token given the first, over many rows, of which many end at the first."""
    model, ids = model_of("qwen2", 0.2), prompts(4)[0][:, -4:]
    out, lengths, _ = drawn(model, ids, torch.ones_like(ids), range(6, 26), n=40_000, max_tokens=2)
    first = out[lengths == 2][:, 0].bincount(minlength=VOCABULARY).argmax()
    second = out[(lengths == 2) & (out[:, 0] == first)][:, 1].bincount(minlength=VOCABULARY)
    with torch.no_grad():
        probabilities = model(torch.cat([ids, first.view(1, 1)], 1)).logits[0, -1].softmax(-1)
    assert second.sum() > 500 and fits(second, probabilities)


def test_draw_never_picks_what_is_excluded() -> None:
    scores = torch.full((5000, 8), -torch.inf)
    scores[:, 2], scores[:, 6] = 0.0, -30.0
    assert set(draw(scores, torch.arange(5000)).tolist()) <= {2, 6}


def test_the_same_dice_give_the_same_completions_and_leave_torchs_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (drawn(model_of("qwen2", 0.2), *eight_prompts(), seed=s, max_tokens=9)[0] for s in (1, 1, 2))
    assert torch.equal(one, same) and (one.shape != other.shape or not torch.equal(one, other))
    assert torch.equal(torch.get_rng_state(), before)


def test_results_can_be_used_in_autograd() -> None:
    ids, _, logprobs = drawn(model_of("qwen2"), *eight_prompts(), max_tokens=3)
    (model_of("qwen2")(ids).logits.sum() * logprobs.sum()).backward()
    model_of("qwen2").zero_grad()


@pytest.mark.parametrize(
    ("change", "handled"),
    [
        ({}, True),
        ({"_attn_implementation": "flex_attention"}, False),
        ({"layer_types": ["linear_attention"] * 2}, False),
        ({"rope_parameters": {"rope_type": "dynamic"}}, False),
        ({"is_encoder_decoder": True}, False),
    ],
    ids=str,
)
def test_models_it_does_not_handle(change: dict[str, Any], handled: bool) -> None:
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"]())
    for key, value in change.items():
        setattr(model.config, key, value)
    assert can_sample(model) is handled
    assert not can_sample(torch.nn.Linear(1, 1)) and not can_sample(None)


def splitmix(seed: int, step: int) -> float:
    """One number of `RowDice`, in Python's own integers."""
    mask = 2**64 - 1

    def mixed(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
        return x ^ (x >> 31)

    return (mixed((mixed(seed & mask) + (step + 1) * 0x9E3779B97F4A7C15) & mask) >> 11) / 2**53


def test_dice_of_their_own_are_splitmix64_and_uniform() -> None:
    seeds = torch.tensor([0, 1, 2, 2**31 - 1, 12345])
    dice = RowDice(seeds)
    rows = torch.tensor([4, 0, 3])
    for step in (0, 1, 63, 4000):
        expected = [splitmix(int(seeds[row]), step) for row in rows]
        assert dice.uniform(rows, step).squeeze(1).tolist() == expected
    many = RowDice(torch.arange(4000))
    drawn = torch.cat([many.uniform(torch.arange(4000), step) for step in range(25)], dim=1)
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = torch.histc(drawn.flatten(), 20, 0, 1)
    assert float(((counts - 5000) ** 2 / 5000).sum()) < 43.8  # chi square, 19 degrees of freedom, p = 0.001
    assert abs(torch.corrcoef(drawn.T)[0, 1]) < 0.06 and abs(torch.corrcoef(drawn[:2])[0, 1]) < 0.7
