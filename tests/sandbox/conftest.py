from tests.command_line import r1lab
from tests.sandbox.served import client, local, url

__all__ = ["client", "local", "r1lab", "url"]
