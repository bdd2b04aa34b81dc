"""Jobs for Celery."""

import os

from celery import Celery

from bench import work

app = Celery("bench", broker=os.environ["BENCH_ADDRESS"])
app.conf.task_acks_late = True
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
TASKS = {name: app.task(name=name)(function) for name, function in work.FUNCTIONS.items()}
