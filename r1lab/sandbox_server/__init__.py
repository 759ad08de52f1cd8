"""This machine's sandbox over HTTP, for the clients of Piston and of Open-R1's routers."""
