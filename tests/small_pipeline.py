"""The beginning of a small pipeline named `path`; its stages follow, indented by four."""

HEAD = """\
defaults:
  - override /task: pipeline
name: path
task:
  each:
    choose: {accelerator: cpu}
  stages:
"""
