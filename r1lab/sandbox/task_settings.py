"""What a contest task says of itself in its `grader_config.json`, and which of its files are the judge's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

CONFIG = "graders/grader_config.json"
MOST_PROCESSES = 8  # of a submission, in a task with a manager
COMMUNICATION = "task_type_parameters_Communication_"
PROCESSES, MANAGER_WORDS, BY_NAME = (COMMUNICATION + name for name in ("num_processes", "manager_args", "user_io"))


def settings_of(graders: Mapping[str, bytes]) -> dict[str, Any]:
    """The task's grader_config.json, checked; empty where there is none.

    Raises:
        ValueError: it is no JSON object, or asks for what no task may have.
    """
    name = next((name for name in graders if name.rpartition("/")[2] == "grader_config.json"), None)
    if name is None:
        return {}
    try:
        settings = json.loads(graders[name])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON: {str(error)[:200]}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{name} must be a JSON object")
    if "graders/manager.cpp" in graders and communicates(settings):
        settings[PROCESSES] = _processes(settings.get(PROCESSES))
        if "\0" in str(settings.get(MANAGER_WORDS, "")):
            raise ValueError(f"{name}: {MANAGER_WORDS} holds the character NUL")
    return settings


def communicates(settings: Mapping[str, Any]) -> bool:
    """Whether a task's manager talks to the submission; where nothing is said, it does."""
    return bool(settings.get("task_type", "Communication") == "Communication")


def _processes(asked: Any) -> int:
    """How many processes a submission has; one where nothing is said."""
    if asked is None:
        return 1
    number = int(asked) if isinstance(asked, str) and re.fullmatch("[0-9]{1,4}", asked) else asked
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_PROCESSES:
        said = str(asked)[:40] if isinstance(asked, int) and abs(asked) < 1e15 else repr(asked)[:40]
        raise ValueError(f"the task asks for {said} processes; it may have from 1 to {MOST_PROCESSES}")
    return number


def judges(name: str) -> bool:
    """Whether a file belongs to the judge and is not for the submission's compiler."""
    return name.startswith("checker/") or name == "graders/manager.cpp" or name.endswith(".json")
