"""What is left of a dump of all stacks."""

from gigq.execution import attempt
from gigq.task import TaskWrapper
from gigqd.process.thread_stacks import without_worker_frames

DUMP = f"""\
Thread 0x00007f1 (most recent call first):
  File "/app/pool.py", line 5 in wait
  File "/app/pool.py", line 9 in run

Current thread 0x00007f0 (most recent call first):
  File "/app/shop.py", line 9 in deepest
  File "/app/execution.py", line 4 in outer
  File "{attempt.__file__}", line 59 in run
  File "/lib/gigqd/supervisor.py", line 94 in run
  File "/bin/gigqd", line 8 in <module>

Extension modules: _psutil_linux
"""


def test_the_frames_that_every_job_has_are_left_out() -> None:
    assert (
        without_worker_frames(DUMP)
        == """\
Thread 0x00007f1 (most recent call first):
  File "/app/pool.py", line 5 in wait
  File "/app/pool.py", line 9 in run

Current thread 0x00007f0 (most recent call first):
  File "/app/shop.py", line 9 in deepest
  File "/app/execution.py", line 4 in outer

Extension modules: _psutil_linux
"""
    )


def test_the_frame_of_the_task_decorator_is_left_out_only_where_it_calls_the_jobs_function() -> (
    None
):
    wrapper = f'  File "{TaskWrapper.__call__.__code__.co_filename}", line 53 in __call__\n'
    called = f'  File "/app/a.py", line 1 in inner\n{wrapper}  File "/app/a.py", line 2 in job\n'
    runner = f'  File "{attempt.__file__}", line 59 in run\n'

    assert without_worker_frames(called + wrapper + runner) == called


def test_a_worker_that_was_not_running_a_job_keeps_its_whole_stack() -> None:
    stack = (
        'Current thread (most recent call first):\n  File "/lib/gigqd/worker.py", line 1 in run\n'
    )

    assert without_worker_frames(stack) == stack
