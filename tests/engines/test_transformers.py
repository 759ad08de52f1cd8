"""The engine: order, seeds, ends, and the same result by both of its ways."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from r1lab.engines import transformers as module
from r1lab.engines.base import Sampling
from r1lab.engines.transformers import TransformersEngine, end_tokens
from r1lab.models.loading import load
from r1lab.notebook import compose

PROMPTS = [[{"role": "user", "content": f"{i} + {i * 7}"}] for i in range(5)]


@pytest.fixture
def loaded(small: tuple[str, ...]) -> Any:
    return load(compose(*small).model, "cpu")


def test_completions_in_the_order_of_the_prompts_whatever_the_batch(loaded: Any) -> None:
    greedy = Sampling(temperature=0.0, max_tokens=6)
    together = TransformersEngine(*loaded, batch=100).generate(PROMPTS, greedy)
    apart = TransformersEngine(*loaded, batch=2).generate(PROMPTS, greedy)
    assert together == apart and [len(row) for row in together] == [1] * 5
    assert together == [TransformersEngine(*loaded).generate([prompt], greedy)[0] for prompt in PROMPTS]


def test_n_samples_and_the_seed(loaded: Any) -> None:
    engine, seen = TransformersEngine(*loaded, batch=6), []
    sampling = Sampling(n=3, max_tokens=5, seed=1)
    first = engine.generate(PROMPTS, sampling, lambda done, total: seen.append((done, total)))
    assert [len(row) for row in first] == [3] * 5 and seen == [(6, 15), (12, 15), (15, 15)]
    assert first == engine.generate(PROMPTS, sampling)
    assert first != engine.generate(PROMPTS, Sampling(n=3, max_tokens=5, seed=2))


def test_tokens_finish_and_text(loaded: Any) -> None:
    model, tok = loaded
    with torch.no_grad():
        model.lm_head.weight[tok.eos_token_id] = 0.0
    rows = TransformersEngine(model, tok).generate(PROMPTS, Sampling(n=40, max_tokens=30))
    completions = [completion for row in rows for completion in row]
    assert {completion.finish for completion in completions} == {"stop", "length"}
    for completion in completions:
        assert completion.tokens == 30 if completion.finish == "length" else 1 <= completion.tokens <= 30
        assert tok.eos_token not in completion.text and tok.pad_token not in completion.text


def test_the_model_is_left_in_its_mode(loaded: Any) -> None:
    model, tok = loaded
    for training in (True, False):
        model.train(training)
        TransformersEngine(model, tok).generate(PROMPTS[:1], Sampling(max_tokens=2))
        assert model.training is training


def test_every_configured_end_ends(loaded: Any) -> None:
    model, tok = loaded
    assert end_tokens(model, tok) == [tok.eos_token_id]
    model.generation_config.eos_token_id = [9, tok.eos_token_id]
    assert end_tokens(model, tok) == sorted([9, tok.eos_token_id])
    model.generation_config.eos_token_id = None
    assert end_tokens(model, tok) == [tok.eos_token_id]


def test_the_librarys_way_gives_the_same_greedy_completions(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, greedy = TransformersEngine(*loaded), Sampling(temperature=0.0, max_tokens=12)
    ours = engine.generate(PROMPTS, greedy)
    monkeypatch.setattr(module, "can_sample", lambda model: False)
    assert engine.generate(PROMPTS, greedy) == ours


def test_the_librarys_way_has_dice_of_its_own(loaded: Any) -> None:
    _, tok = loaded
    config = GPT2Config(vocab_size=len(tok), n_embd=16, n_layer=1, n_head=2, n_positions=128, eos_token_id=2)
    gpt2 = GPT2LMHeadModel(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "can_sample", lambda model: False)
        engine, before = TransformersEngine(gpt2, tok), torch.get_rng_state()
        sampling = Sampling(n=2, max_tokens=4, seed=5, top_k=20, top_p=0.9, min_p=0.01)
        assert engine.generate(PROMPTS, sampling) == engine.generate(PROMPTS, sampling)
        assert engine.generate(PROMPTS, sampling) != engine.generate(PROMPTS, Sampling(n=2, max_tokens=4, seed=6))
    assert torch.equal(torch.get_rng_state(), before)
