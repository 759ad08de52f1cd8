"""Text that holds `${`, kept from being taken for an interpolation."""

from __future__ import annotations

import re
from typing import Any


def literal(value: Any) -> Any:
    r"""A plain value, escaped as OmegaConf reads it: of `n` backslashes before `${` come 2n + 1.

    What OmegaConf then makes of it by resolving is the value again.

    Args:
        value: text, or lists and mappings that hold texts at any depth; anything else stays as it is.
    """
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", value)
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    return [literal(item) for item in value] if isinstance(value, list) else value
