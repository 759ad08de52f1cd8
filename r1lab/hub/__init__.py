"""Models, checkpoints and datasets on the Hugging Face Hub, pushed beside a run and never at its expense.

`push_folder` pushes one folder, under rules that every push here keeps: private unless asked otherwise, nothing that is
there already is overwritten unless asked for, one commit or none, tried again where trying again can help.
"""

from r1lab.hub.push import Pushed, push_folder

__all__ = ["Pushed", "push_folder"]
