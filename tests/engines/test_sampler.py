"""`sampler.sample` against `model.generate` and a plain forward pass, on randomly initialised tiny models."""

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from r1lab.engines.sampler import can_sample, draw, filter_scores, sample

EOS, PAD, VOCAB = 5, 0, 32
SIZE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, eos_token_id=EOS, pad_token_id=PAD, bos_token_id=None)  # fmt: skip
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


def make(name, scale=0.4):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name]()).eval()
    with torch.no_grad():  # a spread-out distribution, in which rows end at different times
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, scale)
    return model


def prompts(lengths=(1, 3, 17, 17, 9, 2, 30, 5), seed=1):
    generator = torch.Generator().manual_seed(seed)
    ids, mask = (
        torch.full((len(lengths), max(lengths) + 2), PAD),
        torch.zeros(len(lengths), max(lengths) + 2, dtype=torch.long),
    )
    for row, n in enumerate(lengths):
        ids[row, -n:] = torch.randint(6, VOCAB, (n,), generator=generator)
        mask[row, -n:] = 1
    if len(lengths) > 3:
        ids[3] = ids[2]  # a repeated prompt
    return ids, mask


def by_generate(model, ids, mask, n):
    """Greedy completions of `model.generate` as lists that stop after the end token."""
    out = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=n, do_sample=False, eos_token_id=EOS, pad_token_id=PAD
    )
    rows = out[:, ids.shape[1] :].tolist()
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("n", [1, 40])
def test_greedy_equals_generate(name, n):
    model = make(name)
    ids, mask = prompts()
    assert can_sample(model)
    out, lengths, _ = sample(model, ids, mask, max_new_tokens=n, temperature=0.0, eos_token_ids=EOS, pad_token_id=PAD)
    expected = by_generate(model, ids, mask, n)
    assert [row[:k] for row, k in zip(out.tolist(), lengths.tolist())] == expected
    assert out.shape[1] == lengths.max() and all((row[k:] == PAD).all() for row, k in zip(out, lengths))


def test_the_cases_above_end_at_different_times():
    lengths = {len(row) for name in CONFIGS for row in by_generate(make(name), *prompts(), 40)}
    assert 40 in lengths and len(lengths) > 5


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_equal_forward(name, temperature):
    model = make(name, scale=0.2)
    ids, mask = prompts()
    out, lengths, logprobs = sample(
        model,
        ids,
        mask,
        max_new_tokens=25,
        temperature=temperature,
        eos_token_ids=[EOS, 7],
        pad_token_id=PAD,
        generator=torch.Generator().manual_seed(3),
        copies=3,
    )
    assert out.shape[0] == 3 * len(ids) and len(lengths.unique()) > 3 and lengths.max() == 25
    for row in range(len(out)):
        prompt, completion = ids[row // 3][mask[row // 3].bool()], out[row, : lengths[row]]
        with torch.no_grad():
            logits = model(torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
        expected = (logits / temperature).log_softmax(-1).gather(1, completion[:, None]).squeeze(1)
        torch.testing.assert_close(logprobs[row, : lengths[row]], expected, atol=1e-4, rtol=0)
        assert (logprobs[row, lengths[row] :] == 0).all()
        stops = torch.isin(completion, torch.tensor([EOS, 7])).nonzero()
        assert (len(stops) == 0 and lengths[row] == 25) or stops[0, 0] == lengths[row] - 1


@pytest.mark.parametrize(
    "kwargs", [{}, dict(top_k=4), dict(top_p=0.6), dict(min_p=0.2), dict(top_k=6, top_p=0.8, min_p=0.1)]
)
def test_filters_equal_transformers(kwargs):
    from transformers import GenerationConfig

    model, scores = make("qwen2"), torch.randn(50, VOCAB) * 2
    config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=kwargs.get("top_k", 0),
        top_p=kwargs.get("top_p", 1.0),
        min_p=kwargs.get("min_p"),
    )
    processors = model._get_logits_processor(config)
    torch.testing.assert_close(
        filter_scores(scores, **kwargs), processors(torch.ones(50, 1, dtype=torch.long), scores.clone())
    )


def chi_square(counts, probs):
    keep = probs * counts.sum() >= 5
    observed = torch.cat([counts[keep], counts[~keep].sum()[None]]).double()
    expected = torch.cat([probs[keep], probs[~keep].sum()[None]]).double() * counts.sum()
    return (((observed - expected) ** 2)[expected > 0] / expected[expected > 0]).sum(), int((expected > 0).sum()) - 1


@pytest.mark.parametrize("kwargs", [{}, dict(temperature=0.6), dict(top_k=5), dict(top_p=0.7)])
def test_first_token_distribution(kwargs):
    model = make("qwen2", scale=0.2)
    ids, mask = prompts((4, 9))
    n = 20_000
    out, *_ = sample(
        model,
        ids,
        mask,
        max_new_tokens=1,
        eos_token_ids=EOS,
        pad_token_id=PAD,
        copies=n,
        generator=torch.Generator().manual_seed(0),
        **kwargs,
    )
    with torch.no_grad():
        logits = model(ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0)).logits[
            :, -1
        ] / kwargs.pop("temperature", 1.0)
    for prompt, probs in enumerate(filter_scores(logits, **kwargs).softmax(-1)):
        counts = out[prompt * n : (prompt + 1) * n, 0].bincount(minlength=VOCAB)
        assert (counts[probs == 0] == 0).all()
        statistic, freedom = chi_square(counts, probs)
        assert statistic < freedom + 4 * (2 * freedom) ** 0.5  # about four standard deviations


def test_later_tokens_follow_the_model_after_rows_have_left():
    """Second token given the first, over many rows, of which many end at the first."""
    model = make("qwen2", scale=0.2)
    ids, mask = prompts((4,))[0][:1, -4:], None
    ends = list(range(6, 26))
    out, lengths, _ = sample(
        model,
        ids,
        torch.ones_like(ids),
        max_new_tokens=2,
        eos_token_ids=ends,
        pad_token_id=PAD,
        copies=40_000,
        generator=torch.Generator().manual_seed(0),
    )
    first = out[lengths == 2][:, 0].bincount(minlength=VOCAB).argmax()
    second = out[(lengths == 2) & (out[:, 0] == first)][:, 1].bincount(minlength=VOCAB)
    with torch.no_grad():
        probs = model(torch.cat([ids, first.view(1, 1)], 1)).logits[0, -1].softmax(-1)
    statistic, freedom = chi_square(second, probs)
    assert second.sum() > 500 and statistic < freedom + 4 * (2 * freedom) ** 0.5


def test_draw_never_picks_what_is_excluded():
    scores = torch.full((5000, 8), -torch.inf)
    scores[:, 2], scores[:, 6] = 0.0, -30.0
    assert set(draw(scores, torch.arange(5000)).tolist()) <= {2, 6}


def test_generator_makes_it_repeatable():
    model, (ids, mask) = make("llama", scale=0.2), prompts()
    runs = [
        sample(
            model,
            ids,
            mask,
            max_new_tokens=9,
            eos_token_ids=EOS,
            pad_token_id=PAD,
            generator=torch.Generator().manual_seed(s),
        )[0]
        for s in (1, 1, 2)
    ]
    assert torch.equal(runs[0], runs[1]) and not (runs[0].shape == runs[2].shape and torch.equal(runs[0], runs[2]))


def test_results_can_be_used_in_autograd():
    model, (ids, mask) = make("llama"), prompts()
    out, _, logprobs = sample(model, ids, mask, max_new_tokens=3, eos_token_ids=EOS, pad_token_id=PAD)
    (model(out).logits.sum() * logprobs.sum()).backward()


@pytest.mark.parametrize(
    "change, handled",
    [
        (dict(), True),
        (dict(_attn_implementation="flex_attention"), False),
        (dict(layer_types=["linear_attention"] * 2), False),
        (dict(rope_parameters=dict(rope_type="dynamic")), False),
    ],
    ids=str,
)
def test_models_it_does_not_handle(change, handled):
    model = make("llama")
    for key, value in change.items():
        setattr(model.config, key, value)
    assert can_sample(model) is handled
