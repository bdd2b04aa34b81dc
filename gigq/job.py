"""The `Job` class under the module name that GigQ 0.5.1 has for it."""

from gigq.model.job import Job

__all__ = ["Job"]
