"""Counting of the workers that were replaced for one function's leaks."""

from support.log_reader import entries, logging_restored

from gigqd import logs
from gigqd.config import LogConfig
from gigqd.supervisor.repeated_leaks import RepeatedLeaks


def test_the_third_worker_of_a_function_is_a_warning_and_counts_are_bounded(tmp_path) -> None:
    leaks = RepeatedLeaks()
    with logging_restored():
        logs.configure(LogConfig(file=tmp_path / "log"))
        for _ in range(2):
            leaks.count({"function": "app.early", "left": ["threads"]})
        for number in range(1000):
            leaks.count({"function": f"app.f{number}", "left": ["threads"]})
        leaks.count({"function": "app.early", "left": ["threads"]})  # its count was dropped
        for _ in range(3):
            leaks.count({"function": "app.late", "left": ["children", "descriptors"]})

    found = [(one["function"], one["left"], one["workers"]) for one in entries(tmp_path / "log")]
    assert found == [("app.late", "children", 3)]
