"""The command line, for the import of recipes."""

from tests.command_line import r1lab, write  # noqa: F401
