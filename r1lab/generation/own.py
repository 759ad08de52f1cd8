"""To come."""


def generate() -> None:
    """To come."""
