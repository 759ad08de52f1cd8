"""Packages that some settings need and r1lab does not bring: are they there, how to get them, what they allow."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

EXTRAS = {  # package: what to type
    "peft": "pip install 'peft>=0.21'",
    "bitsandbytes": "pip install 'bitsandbytes>=0.46.1'",
    "liger-kernel": "pip install 'liger-kernel>=0.8'",
    "kernels": "pip install 'kernels>=0.16,<0.17'",
    "deepspeed": "pip install 'deepspeed>=0.19'",
    "distilabel": "pip install 'distilabel[openai,ray]==1.5.3'",
    "ray": "pip install 'r1lab[ray]'",
    "flash-attn": "pip install flash-attn --no-build-isolation",
}
HALF = ("bfloat16", "float16")


def installed(package: str) -> bool:
    """Whether a distribution is installed; nothing is imported."""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def choose_attention(asked: str, dtype: str, device: str) -> tuple[str, str]:
    """The attention that a model runs with, and why.

    Args:
        asked: `model.attention`; auto takes flash_attention_2 (Dao 2023, arXiv 2307.08691) where it can run.
        dtype: `model.dtype`.
        device: "cpu" or "cuda".

    Returns:
        transformers' `attn_implementation`, and the reason in a few words.
    """
    if asked != "auto":
        return asked, "as asked"
    if device != "cuda":
        return "sdpa", f"flash_attention_2 does not run on the device {device}"
    if dtype not in HALF:
        return "sdpa", f"flash_attention_2 does not take {dtype}"
    if not installed("flash-attn"):
        return "sdpa", f"flash-attn is not installed: {EXTRAS['flash-attn']}"
    return "flash_attention_2", "flash-attn is installed"
