"""gigq: background jobs without a broker. This module is the front door and holds no code."""

from gigq.errors import GigqError as GigqError
from gigq.job import Job as Job
from gigq.task import task as task
