"""The `task` decorator under the module name that GigQ 0.5.1 has for it."""

from gigq.task import TaskWrapper, task

__all__ = ["TaskWrapper", "task"]
