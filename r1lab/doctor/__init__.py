"""Whether this machine has what a config needs: one check after another, each with what to do about it."""
