"""Claims as values, without a store."""

from gigq.model.claim import Claim
from gigq.model.function_import import FunctionRef


def claim(**columns):
    values = {
        "job_id": "j1", "execution_id": "e1", "name": "the job",
        "function": FunctionRef("m", "f"), "params": {}, "attempt": 1, "max_attempts": 3,
        "timeout": None, "dependencies": (), "pass_parent_results": None, "queue": "default",
        "worker_id": "w",
    }  # fmt: skip
    return Claim(**{**values, **columns})
