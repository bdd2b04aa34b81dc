"""What each job has used, though the kernel counts for the whole life of a process only."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from gigqd.worker.usage import UsageMeter

MEGABYTE = 1024 * 1024


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_time_is_measured_on_the_wall_and_on_the_processor() -> None:
    meter = UsageMeter()
    meter.begin(time.monotonic() - 5.0)
    busy_until = time.process_time() + 0.05
    next(n for n in count() if time.process_time() > busy_until)

    usage = meter.end(0)

    assert 5.0 < usage.wall_time < 60.0
    assert 0.05 <= usage.cpu_time < 5.0


def test_the_time_of_children_that_were_waited_for_counts() -> None:
    meter = UsageMeter()
    meter.begin(time.monotonic())
    work = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", work], check=True)

    used = meter.end(0).cpu_time
    meter.begin(time.monotonic())

    assert used >= 0.2
    assert meter.end(0).cpu_time < 0.2


def test_the_time_before_a_job_is_told_when_it_begins() -> None:
    assert UsageMeter().begin(time.monotonic()) == pytest.approx(
        time.process_time() + children_time(), abs=0.5
    )


def children_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_peak_is_the_peak_of_this_job_and_not_of_an_earlier_one() -> None:
    meter = UsageMeter()
    meter.begin(time.monotonic())
    before = resident()
    large = bytearray(b"x") * (64 * MEGABYTE)
    del large
    first = meter.end(0)
    meter.begin(time.monotonic())
    second = meter.end(0)

    assert first.peak >= before + 60 * MEGABYTE
    assert second.peak < first.peak - 50 * MEGABYTE
    assert abs(meter.resident - resident()) < 16 * MEGABYTE


def test_what_others_have_seen_of_the_tree_counts_when_it_is_more() -> None:
    meter = UsageMeter()
    meter.begin(time.monotonic())

    assert meter.end(2**40).peak == 2**40


def test_a_child_that_is_gone_again_before_anybody_looks_counts() -> None:
    meter = UsageMeter()
    most = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss + 64 * MEGABYTE
    meter.begin(time.monotonic())
    subprocess.run([sys.executable, "-c", f"bytearray(b'x') * {most}"], check=True)
    first = meter.end(0).peak
    meter.begin(time.monotonic())

    assert first >= most
    assert meter.end(0).peak < most
