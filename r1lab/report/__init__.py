"""The report: one page for a run (`page.write_page`), one for a sweep (`sweep.write_sweep`).

    python -m r1lab task=report task.run=outputs/my-run/2026-01-31_10-00   # report.html, or sweep.html for a multirun

`records` alone knows what lies in a run's folder; `score` and `diagnosis` say what the numbers mean; `charts` decides
what stands on which chart; `plots` draws; `words` makes any text safe and short. Nothing here needs torch, a network
or a GPU, and nothing here changes a run: a page can be written again at any time, also for a run that was killed.
"""
