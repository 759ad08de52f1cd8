"""Who evaluates: each module has `evaluate(cfg, folder)`, which yields a `Record` of every benchmark that is chosen."""
