"""Sandboxes on other machines: Piston servers, rented machines, and routers to them."""
