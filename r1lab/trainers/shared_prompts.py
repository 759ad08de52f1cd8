"""A forward pass for the loss in which each distinct prompt of a batch runs once, and equal rows run once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from r1lab.engines.sampler import unique_rows


def shared_prompt_forward(
    model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, completion_width: int, need_entropy: bool
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities and entropies of completions, running each distinct prompt once.

    Args:
        model: causal LM with TRL's fused LM head, for which `can_sample` holds.
        input_ids, attention_mask: (rows, prompt width + completion width), prompts padded left, completions right.

    Returns:
        Log-probabilities and entropies (or None), each (rows, completion width) and 0 where masked.
    """
    rows, same = unique_rows(input_ids, attention_mask)  # equal rows have equal results
    input_ids, attention_mask = input_ids[rows], attention_mask[rows]
    start = input_ids.shape[1] - completion_width
    prompt_mask, completion_mask = attention_mask[:, :start].bool(), attention_mask[:, start:].bool()
    left = min(int(prompt_mask.any(0).nonzero()[0]), start - 2)  # the columns before are padding in every row
    width = max(1, int(completion_mask.sum(0).count_nonzero()))
    # The last prompt token predicts the first token of the completion, so it goes with the completions.
    split = start - 1 - left
    position = torch.arange(left, start + width - 1, device=input_ids.device)[None]
    prefix_mask = prompt_mask[:, left : start - 1]
    padded = not bool(prefix_mask.all())
    first, which = unique_rows(input_ids[:, left:start], prompt_mask[:, left:])
    cache = DynamicCache(config=model.config)
    model.base_model(
        input_ids[first, left : start - 1],
        attention_mask=prefix_mask[first] if padded else None,
        position_ids=position[:, :split],
        past_key_values=cache,
        use_cache=True,
    )
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None
        layer.keys, layer.values = layer.keys.index_select(0, which), layer.values.index_select(0, which)
    output = model(
        input_ids[:, start - 1 : start + width - 1],
        # Padding on the right needs no mask: no scored token attends to it.
        attention_mask=torch.cat([prefix_mask, prefix_mask.new_ones(len(which), width)], 1) if padded else None,
        position_ids=position[:, split:],
        past_key_values=cache,
        shift_labels=input_ids[:, start : start + width].masked_fill(~completion_mask[:, :width], -100),
        fused_lm_head=True,
    )

    def widened(values: Tensor) -> Tensor:
        return pad(values, (0, completion_width - width)).index_select(0, same)

    return widened(output.log_probs), widened(output.entropy) if need_entropy else None
