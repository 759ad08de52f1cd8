"""Results of benchmarks as a model card's metadata (`model-index`), which the Hub shows beside a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.repocard_data import eval_results_to_model_index

from r1lab.hub.client import again, connect

TASK, README = "text-generation", "README.md"


def eval_results(results: Sequence[dict[str, Any]]) -> list[EvalResult]:
    """Results as the Hub's library holds them: percentages, each with how it was made.

    Args:
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
            )
        )
    return found


def model_index(name: str, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Results as the metadata on top of a card."""
    return {"model-index": eval_results_to_model_index(name, eval_results(results))}


def with_results(text: str, name: str, results: Sequence[dict[str, Any]]) -> str:
    """A card with results: those that it has of the same benchmark, made in the same way, are replaced; others stay."""
    card, new = ModelCard(text, ignore_metadata_errors=True), eval_results(results)
    data: Any = card.data
    kept = [old for old in data.eval_results or [] if not any(item.is_equal_except_value(old) for item in new)]
    data.eval_results, data.model_name = [*kept, *new], data.model_name or name
    return str(card)


def export(repo: str, results: Sequence[dict[str, Any]], revision: str, retries: int) -> str:
    """Write results into a model's card on the Hub. Returns the commit's address.

    Raises:
        HubError, ConfigError: see `client.connect` and `client.again`.
    """
    client, name = connect(), repo.rpartition("/")[2]

    def push() -> str:
        try:
            text = Path(client.hf_hub_download(repo, README, revision=revision)).read_text(encoding="utf-8")
        except EntryNotFoundError:
            text = f"---\n---\n# {name}\n"
        content = with_results(text, name, results).encode()
        message = "Results of benchmarks"
        done = client.upload_file(
            path_or_fileobj=content, path_in_repo=README, repo_id=repo, revision=revision, commit_message=message
        )
        return str(done.commit_url)

    return again(push, retries, f"results of {repo}")
