"""Results of benchmarks in a model's card on the Hub."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from r1lab.errors import HubError
from r1lab.hub.results import export
from tests.hub.stand_in import StandIn

DATA = {"repo": "HuggingFaceH4/aime_2024", "config": None, "split": "train", "revision": None}


def result(value: float, **more: Any) -> dict[str, Any]:
    measure = {"value": value, "low": 0.0, "high": 1.0, "problems": 30}
    made_by = {"evaluator": "native", "sampling": {"temperature": 0.6, "seed": 1}}
    usual = {"benchmark": "aime24", "primary": "pass@1", "asked": 64, "fingerprint": "abc", "dataset": DATA}
    return {**usual, "measures": {"pass@1": measure}, "made_by": made_by, **more}


def results_of(hub: StandIn) -> tuple[list[dict[str, Any]], str]:
    """The results in the card's metadata, and the card below it."""
    _, head, body = hub.repo("me/mine").files()["README.md"].decode().split("---", 2)
    (entry,) = yaml.safe_load(head)["model-index"]
    return [{**m, "dataset": item["dataset"]["name"]} for item in entry["results"] for m in item["metrics"]], body


def test_results_join_a_card_and_leave_the_rest_of_it_alone(hub: StandIn) -> None:
    hub.make("me/mine", **{"README.md": b"---\nlicense: mit\ntags: [a]\n---\n# Mine\n\nWords.\n"})
    export("me/mine", [result(0.5)], "main", 0)
    found, body = results_of(hub)
    assert [(item["dataset"], item["type"], item["value"]) for item in found] == [("aime24", "pass@1", 50.0)]
    assert body.strip() == "# Mine\n\nWords."
    assert "license: mit" in hub.repo("me/mine").files()["README.md"].decode()


def test_a_result_made_again_replaces_itself_and_another_one_stands_beside_it(hub: StandIn) -> None:
    hub.make("me/mine")
    export("me/mine", [result(0.5)], "main", 0)
    export(
        "me/mine",
        [
            result(0.6),
            result(0.7, fingerprint="other"),
            result(0.8, dataset={**DATA, "repo": "HuggingFaceH4/MATH-500"}),
        ],
        "main",
        0,
    )
    assert [(item["value"], item["args"]["fingerprint"]) for item in results_of(hub)[0]] == [
        (60.0, "abc"),
        (70.0, "other"),
        (80.0, "abc"),
    ]


def test_a_repository_that_is_not_there_is_told(hub: StandIn) -> None:
    with pytest.raises(HubError, match="results of me/nothing"):
        export("me/nothing", [result(0.5)], "main", 0)
