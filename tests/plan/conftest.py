from tests.command_line import r1lab, write

__all__ = ["r1lab", "write"]
