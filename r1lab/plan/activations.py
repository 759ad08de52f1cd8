"""Bytes that a forward pass keeps for its backward pass, for transformers' decoders with rotary attention and SwiGLU.

After Korthikanti et al. 2022 (Reducing Activation Recomputation in Large Transformer Models), whose equation 1 counts
the tensors of a GPT layer as s·b·h·(34 + 5·a·s/h) bytes: the same count for what transformers 5.17's Qwen2, Qwen3,
Llama and Mistral layers keep, per token and layer, with e bytes per element, hidden width h, query width q, key/value
width kv, MLP width f and a heads:

    norms        2 × (4h + 2eh + 4)         the float32 input, the normalized one, the scaled one, 1/rms
    attention    e(2q + 2kv) + 4a           query, output, keys, values, the log of the softmax's sum
    MLP          4ef                        gate, its SiLU, up, their product
    qk norms     (4 + e)(q + kv) + 4(a + kv heads)
"""

from __future__ import annotations

from r1lab.plan.parameters import Shape

FULL = "eager"  # the attention that writes out every score


def layer_bytes(
    shape: Shape, length: int, e: int, attention: str, padded: bool, liger: bool = False, mixed: bool = False
) -> float:
    """Bytes per token that one layer keeps.

    Args:
        shape: the model's numbers.
        length: tokens of a row, which scores and masks grow with.
        e: bytes of an activation's element.
        attention: eager, sdpa or flash_attention_2.
        padded: rows of several lengths, so that a mask is needed.
        liger: layers of the Liger kernels (Hsu et al. 2024), which keep a norm's input and two of the MLP's tensors.
        mixed: float32 weights under autocast, whose residual stream and norms are float32.
    """
    h, q, kv = shape.hidden, shape.q_width, shape.kv_width
    norms = 4 * e * h if liger else 2 * (4 * h + 2 * e * h + 4)
    if mixed:  # the input and the normalized one in float32; then one cast for each matrix that reads them
        norms = 2 * 4 * h * (1 if liger else 2) + 8 + 5 * e * h
    expanded = attention == FULL or (attention == "sdpa" and padded)  # keys and values are repeated for every head
    attended = e * (2 * q + 2 * (q if expanded else kv))
    if attention == FULL:
        attended += shape.heads * length * (4 + (e if e < 4 else 0))  # the softmax in float32, and cast
    else:
        attended += 4 * shape.heads + (e * length if expanded else 0)  # the mask as numbers, one for all heads
    norms_of_heads = (4 + e) * (q + kv) + 4 * (shape.heads + shape.kv_heads) if shape.qk_norm else 0
    return norms + attended + norms_of_heads + _mlp_bytes(shape, e, liger)


def _mlp_bytes(shape: Shape, e: int, liger: bool) -> float:
    tensors = 3 if liger else 4
    if not shape.experts:
        return tensors * e * shape.intermediate
    each = tensors * e * shape.expert_intermediate + 3 * e * shape.hidden  # and its rows gathered, scaled, added back
    shared = tensors * e * shape.shared_intermediate
    return shape.experts_per_token * each + shared + 12 * shape.experts  # and the router's float32 scores


def working_bytes(shape: Shape, e: int) -> float:
    """Bytes per token of the gradients that a layer's backward pass holds at its widest: in the MLP."""
    width = max(shape.intermediate, shape.experts_per_token * shape.expert_intermediate + shape.shared_intermediate)
    return e * (2 * width + 3 * shape.hidden)


TOKEN_TILE, WORD_TILE = 4096, 32768  # of trl.kernels.chunked_logprob and trl.trainer.utils (TRL 1.16)
TORCH_TILE = 30  # bytes per element of a tile where torch's operations stand in for the kernel: on a CPU


def head_bytes(shape: Shape, tokens: int, e: int, on_cpu: bool, trains_head: bool = True) -> float:
    """Bytes at the head's widest moment, its backward pass, by TRL 1.16's fused head (`ChunkedLogProbFunction`).

    It never holds the logits (tokens × vocabulary), but one tile of them; the gradients of the hidden states and of the
    head's weight are summed in float32 and cast at the end.
    """
    tile = min(tokens, TOKEN_TILE) * min(shape.vocabulary, WORD_TILE) * (TORCH_TILE if on_cpu else e)
    cast = e * shape.embedding if trains_head and e < 4 else 0
    weight = 4 * shape.embedding if trains_head else 0
    return weight + max(tile, cast) + tokens * shape.hidden * (4 + 2 * e)


def logit_bytes(shape: Shape, tokens: int, e: int) -> float:
    """Bytes of whole logits and their gradient, with a float32 copy: what a loss without the fused head needs."""
    return tokens * shape.vocabulary * (2 * e + 8 if e < 4 else 12)


def kv_bytes(shape: Shape, e: int) -> int:
    """Bytes of keys and values per token, over all layers."""
    return shape.layers * shape.cache_width * e
