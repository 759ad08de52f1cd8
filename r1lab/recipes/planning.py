"""Whether an experiment that was written composes and plans."""

from __future__ import annotations

from r1lab.config.compose import session
from r1lab.errors import ConfigError, Finding
from r1lab.plan.request import plan_request


def planned(name: str) -> list[Finding]:
    """The findings of `experiment=NAME dry_run=true`."""
    with session():
        try:
            (plan,) = plan_request([f"experiment={name}", "dry_run=true"]).plans
        except ConfigError as error:
            return error.findings
    return plan.findings
