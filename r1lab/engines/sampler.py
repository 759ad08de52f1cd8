"""Batched autoregressive sampling from any decoder-only Hugging Face causal LM.

Differences to `model.generate`, none of which changes the sampling distribution:
- completions of one prompt run as one row of the batch until they differ, so shared beginnings run once;
- completions that have ended leave the batch;
- tokens are drawn by inverse CDF, with one float64 number per row, and come with their log-probability.
"""

import inspect
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

COMPACT_BELOW = 0.75  # drop unused slots of the batch once fewer than this share is used


def can_sample(model: PreTrainedModel) -> bool:
    """Whether `sample` handles this model: decoder-only, with a plain or sliding-window KV cache in every layer."""
    config = getattr(model, "config", None)
    if not isinstance(model, PreTrainedModel) or config.is_encoder_decoder or config.get_text_config() is not config:
        return False
    rope = getattr(config, "rope_parameters", None) or {}
    scaled_by_length = {"dynamic", "longrope"} & {
        r.get("rope_type") for r in (rope, *rope.values()) if isinstance(r, dict)
    }
    accepted = inspect.signature(model.forward).parameters.keys()
    return (
        not scaled_by_length
        and config._attn_implementation in ("sdpa", "eager")
        and {"attention_mask", "position_ids", "past_key_values", "logits_to_keep"} <= accepted
        and model._supports_default_dynamic_cache()
        and all(
            type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers
        )
    )


def filter_scores(scores: Tensor, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Tensor:
    """Set the log-scores (rows, vocabulary) that top-k, then top-p, then min-p exclude to -inf."""
    if 0 < top_k < scores.shape[-1]:
        scores = scores.masked_fill(scores < scores.topk(top_k).values[:, -1:], -torch.inf)
    if top_p < 1.0:
        ascending, order = scores.sort(dim=-1)
        drop = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
        drop[:, -1] = False  # always keep the likeliest
        scores = scores.masked_fill(drop.scatter(1, order, drop), -torch.inf)
    if min_p > 0.0:
        probs = scores.softmax(-1)
        scores = scores.masked_fill(probs < min_p * probs.amax(-1, keepdim=True), -torch.inf)
    return scores


def draw(scores: Tensor, rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw, for each entry of `rows` (n,), an index with probability softmax(scores[row]); scores: (any, vocabulary)."""
    cdf = scores.softmax(-1).cumsum(-1, dtype=torch.float64)[rows]
    # `1 - u` lies in (0, 1], so the first index whose CDF reaches it has a probability above zero.
    uniform = 1 - torch.rand(len(rows), 1, dtype=torch.float64, device=cdf.device, generator=generator)
    return torch.searchsorted(cdf, uniform * cdf[:, -1:]).squeeze(1)


def unique_rows(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """First of the equal rows (unique,), and for each row which of those it equals (rows,); ids, mask: (rows, length)."""
    seen: dict[bytes, int] = {}
    masked = ids.masked_fill(~mask.bool(), -1).cpu().numpy()
    which = [seen.setdefault(row.tobytes(), len(seen)) for row in masked]
    first = [which.index(i) for i in range(len(seen))]
    return torch.tensor(first, device=ids.device), torch.tensor(which, device=ids.device)


def sample(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    eos_token_ids: int | Sequence[int],
    pad_token_id: int,
    generator: torch.Generator | None = None,
    copies: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample completions of left-padded prompts.

    Args:
        model: Causal LM for which `can_sample` holds, in eval mode unless dropout is off.
        input_ids, attention_mask: (prompts, P), padded on the left.
        temperature: 0 picks the likeliest token.
        copies: Completions per prompt; those of prompt i are rows i * copies to (i + 1) * copies - 1.
        on_progress: Called after every token with (tokens so far, rows not ended).

    Returns:
        completion_ids: (rows, T), including the end token, padded on the right; T is the longest completion.
        lengths: (rows,), tokens of each completion, including the end token.
        logprobs: (rows, T), log-probability of each token under softmax(logits / temperature) — at temperature 0
            under softmax(logits) — before top-k, top-p and min-p; 0 on padding.
    """
    arguments = (
        max_new_tokens,
        temperature,
        top_p,
        top_k,
        min_p,
        eos_token_ids,
        pad_token_id,
        generator,
        copies,
        on_progress,
    )
    with torch.inference_mode():
        outputs = _sample(model, input_ids, attention_mask.bool(), *arguments)
    return tuple(output.clone() for output in outputs)  # ordinary tensors, which autograd may save


def _sample(
    model, input_ids, mask, max_new_tokens, temperature, top_p, top_k, min_p, eos, pad, generator, copies, on_progress
):
    """`sample` in inference mode; `mask` is a bool tensor."""
    device = input_ids.device
    first, which = unique_rows(input_ids, mask)
    start = mask.any(0).nonzero()[0, 0]  # the columns before are padding in every row
    input_ids, mask, which = input_ids[first, start:], mask[first, start:], which.repeat_interleave(copies)
    rows, padded = len(which), not bool(mask.all())
    eos = torch.tensor([eos] if isinstance(eos, int) else list(eos), device=device)

    cache = DynamicCache(config=model.config)
    inputs = dict(past_key_values=cache, use_cache=True, logits_to_keep=1)
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = model(input_ids, attention_mask=mask if padded else None, position_ids=position, **inputs).logits[:, -1]
    position = position[:, -1:]  # (slots, 1): of the last token

    # The batch of the model has a slot per distinct text so far; completions that are still equal share one.
    ids = torch.full((rows, max_new_tokens), pad, device=device)
    logprobs = torch.zeros(rows, max_new_tokens, device=device)
    lengths = torch.full((rows,), max_new_tokens, device=device)
    live, slot = torch.arange(rows, device=device), which  # (live,): rows that have not ended, and the slot of each
    for step in range(max_new_tokens):
        scores = logits.float() / (temperature or 1.0)
        greedy = temperature == 0
        token = scores.argmax(-1)[slot] if greedy else draw(filter_scores(scores, top_k, top_p, min_p), slot, generator)
        ids[live, step] = token
        logprobs[live, step] = scores.log_softmax(-1)[slot, token]
        ends = torch.isin(token, eos)
        lengths[live[ends]] = step + 1
        live, slot, token = live[~ends], slot[~ends], token[~ends]
        if on_progress is not None:
            on_progress(step + 1, len(live))
        if len(live) == 0 or step + 1 == max_new_tokens:
            break
        token, slot, source = _branch(slot, token, len(logits), logits.shape[-1])
        if source is not None:
            cache.batch_select_indices(source)
            position, mask = position[source], mask[source]
        position = position + 1
        if padded:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        logits = model(token[:, None], attention_mask=mask if padded else None, position_ids=position, **inputs).logits[
            :, -1
        ]
    return ids[:, : step + 1], lengths, logprobs[:, : step + 1]


def _branch(slot: Tensor, token: Tensor, slots: int, vocabulary: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Give each distinct (slot, token) a slot: the first token of a slot stays in it, others get new ones at the end.

    From the slot of each row and what it drew (live,), to the tokens to feed (new slots,), the new slot of each row
    (live,), and the old slot that each new one continues (new slots,), None if that is the same as before. Slots
    without rows stay until they are many.
    """
    children, child = torch.unique(slot * vocabulary + token, return_inverse=True)
    parent, tokens = children // vocabulary, children % vocabulary
    added = torch.cat([parent.new_zeros(1, dtype=torch.bool), parent[1:] == parent[:-1]])
    total = slots + int(added.sum())
    if len(children) < COMPACT_BELOW * total:
        return tokens, child, parent
    place = torch.where(added, slots - 1 + added.cumsum(0), parent)
    feed = tokens.new_zeros(total)
    feed[place] = tokens
    source = torch.cat([torch.arange(slots, device=parent.device), parent[added]]) if total > slots else None
    return feed, place[child], source
