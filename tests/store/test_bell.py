from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.waiting import wait_until

from gigq.store.bell import Bell, ring
from gigq.store.liveness import companion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 20.0
RINGER = "import sys; from gigq.store.bell import ring; ring(sys.argv[1])"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def bell(database: Path) -> Iterator[Bell]:
    bell = Bell(database)
    yield bell
    bell.close()


def test_a_ring_wakes_a_sleeper(database: Path, bell: Bell) -> None:
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(bell.wait(LONG)))
    thread.start()
    ring(database)
    thread.join(LONG)

    assert woken == [True]


def test_another_process_wakes_a_sleeper(database: Path, bell: Bell) -> None:
    subprocess.run([sys.executable, "-c", RINGER, str(database)], check=True)

    assert bell.wait(LONG)


def test_one_ring_wakes_one_of_many(database: Path) -> None:
    bells = [Bell(database) for _ in range(8)]
    woken: list[int] = []

    def sleep_on(number: int) -> None:
        while bells[number].wait(LONG):
            woken.append(number)
            if woken.count(-1):
                return

    threads = [threading.Thread(target=sleep_on, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    ring(database)
    wait_until(lambda: woken, why="somebody wakes")

    assert len(woken) == 1

    woken.append(-1)
    while any(thread.is_alive() for thread in threads):
        ring(database)
        time.sleep(0)
    for thread, bell in zip(threads, bells, strict=True):
        thread.join()
        bell.close()


def test_a_sleeper_wakes_by_itself_when_nobody_rings(bell: Bell) -> None:
    assert not bell.wait(0.01)


def test_a_sleeper_wakes_for_other_descriptors_too(bell: Bell) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")

    assert bell.wait(LONG, [reading])

    os.close(reading)
    os.close(writing)


def test_each_ring_is_one_byte_and_draining_takes_all(database: Path, bell: Bell) -> None:
    for _ in range(3):
        ring(database)

    assert bell.take()
    assert bell.drain()
    assert not bell.take()
    assert not bell.drain()


def test_ringing_a_full_bell_neither_blocks_nor_raises(database: Path, bell: Bell) -> None:
    for _ in range(70_000):
        ring(database)

    assert bell.wait(0)


def test_ringing_where_nobody_listens_neither_blocks_nor_raises(database: Path) -> None:
    ring(database)
    bell = Bell(database)
    bell.close()
    ring(database)
    ring(database.parent / "nowhere" / "queue.db")


def test_a_bell_without_ringers_does_not_look_ready(bell: Bell) -> None:
    assert select.select([bell], [], [], 0)[0] == []


def test_closing_twice_closes_once(bell: Bell) -> None:
    bell.close()
    bell.close()

    assert bell.fileno() == -1


def test_a_bell_that_was_deleted_is_hung_up_again_before_the_next_sleep(
    database: Path, bell: Bell
) -> None:
    shutil.rmtree(companion(database))
    ring(database)

    assert not bell.wait(0)
    ring(database)
    assert bell.wait(LONG)


def test_who_hangs_a_bell_up_again_wakes_those_who_sleep_beside_the_old_one(
    database: Path, bell: Bell
) -> None:
    keeper = Bell(database)
    woken: list[bool] = []
    sleeper = threading.Thread(target=lambda: woken.append(bell.wait(LONG)))
    sleeper.start()
    shutil.rmtree(companion(database))

    while sleeper.is_alive():
        keeper.ring()
        keeper.renew()
        sleeper.join(0.01)

    assert woken == [True]
    assert not keeper.renew()
    bell.renew()
    keeper.ring()
    assert bell.wait(LONG)
    keeper.close()
