"""Chat templates that r1lab gives to models that have none."""

from __future__ import annotations

from r1lab.config.templates import read_template

CHATML = read_template("chatml")[0]
