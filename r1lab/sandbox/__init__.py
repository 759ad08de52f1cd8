"""Where programs that nobody trusts are run."""
