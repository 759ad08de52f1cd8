"""Results of benchmarks as a model card's metadata (`model-index`), which the Hub shows beside a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from huggingface_hub import EvalResult, metadata_update
from huggingface_hub.repocard_data import eval_results_to_model_index

from r1lab.hub.client import again, connect

TASK = "text-generation"


def model_index(name: str, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Results as a card's metadata: percentages, each with how it was made.

    Args:
        name: the model's.
        results: as an evaluation's NAME.json holds them, with `dataset`: `repo`, `config`, `split` and `revision`.
    """
    found = []
    for result in results:
        data, value = result["dataset"], result["measures"][result["primary"]]
        sampling = {k: v for k, v in (result["made_by"].get("sampling") or {}).items() if v is not None}
        found.append(
            EvalResult(
                task_type=TASK,
                dataset_type=data["repo"] or result["benchmark"],
                dataset_name=result["benchmark"],
                dataset_config=data["config"],
                dataset_split=data["split"],
                dataset_revision=data["revision"],
                metric_type=result["primary"],
                metric_name=f"{result['primary']}, {result['asked']} samples ({result['made_by'].get('evaluator')})",
                metric_value=round(100 * value["value"], 2),
                metric_args={**sampling, "problems": value["problems"], "fingerprint": result["fingerprint"]},
                source_name="r1lab" if data.get("source") else None,
                source_url=data.get("source"),
            )
        )
    return {"model-index": eval_results_to_model_index(name, found)}


def export(repo: str, metadata: dict[str, Any], revision: str, retries: int) -> str:
    """Write the metadata into a model's card on the Hub; results that it has already are replaced. The commit's URL.

    Raises:
        HubError, ConfigError: see `client.connect` and `client.again`.
    """
    token = connect().token

    def push() -> str:
        message = "Results of benchmarks"
        told = {"repo_id": repo, "metadata": metadata, "overwrite": True, "token": token, "revision": revision}
        return metadata_update(**told, commit_message=message)  # type: ignore[arg-type]

    return again(push, retries, f"results of {repo}")
