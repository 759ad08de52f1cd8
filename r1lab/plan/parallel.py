"""How a server that evaluates is spread over GPUs, where nobody says: copies of a small model, a large one cut up."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.plan.parameters import shape_of

LARGE = 30e9  # parameters from which on one copy is spread over the GPUs


def settle_parallel(cfg: DictConfig) -> None:
    """Fill in `engine.data_parallel` and `engine.tensor_parallel` of a server that an evaluation starts.

    A model below 30 billion parameters is copied to every GPU. A larger one is cut over as many of them as its
    attention heads allow, and the rest hold further copies. What the run's words say is left alone.
    """
    engine, gpus = cfg.engine, int(cfg.accelerator.gpus or 1)
    evaluates = cfg.task.name == "eval" and cfg.get("benchmark")
    said = engine.tensor_parallel * engine.data_parallel * engine.pipeline_parallel
    starts = engine.name == "server" and not engine.urls
    if not evaluates or not starts or said != 1 or gpus < 2 or cfg.accelerator.device != "cuda":
        return
    shape = shape_of(cfg.model)
    count = cfg.model.parameters or (shape.total if shape else 0)
    heads = cfg.model.heads or 1
    engine.tensor_parallel = max(n for n in range(1, gpus + 1) if gpus % n == heads % n == 0) if count >= LARGE else 1
    engine.data_parallel = gpus // engine.tensor_parallel
