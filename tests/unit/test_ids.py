from __future__ import annotations

import os
import random
import threading
import uuid
from typing import TYPE_CHECKING

from gigq.model import ids

if TYPE_CHECKING:
    import pytest


def test_an_id_is_a_uuid_of_version_7() -> None:
    parsed = uuid.UUID(ids.new_id())

    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122


def test_ids_of_a_process_grow_and_never_repeat() -> None:
    made = [ids.new_id() for _ in range(5000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_grow_while_the_clock_stands_still_or_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter([2_000_000_000_000_000_000] * 5 + [1_999_999_999_000_000_000] * 5)
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(times))
    stamps = ids._Stamps()
    made = [stamp for count in (1, 3, 1, 5) for stamp in stamps.take(count)]

    assert made == sorted(set(made))


def test_threads_never_make_the_same_id() -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.extend([ids.new_id() for _ in range(2000)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 8000


def test_a_child_makes_ids_even_when_the_lock_was_held_at_the_fork() -> None:
    with ids._stamps._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if len(ids.new_id()) == 36 else 1)

    assert os.waitpid(child, 0)[1] == 0


def test_a_child_makes_ids_of_its_own_though_its_clock_stands_where_its_parents_does() -> None:
    ids.new_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, ids.new_id()[19:].encode())
        os._exit(0)
    os.waitpid(child, 0)
    made_there = os.read(read, 100).decode()
    os.close(read)
    os.close(write)

    assert made_there != ids.new_id()[19:]


def test_whoever_seeds_the_common_generator_does_not_seed_the_ids() -> None:
    random.seed(1)
    first = ids.new_id()
    random.seed(1)

    assert first[19:] != ids.new_id()[19:]


def test_ids_made_together_grow_and_go_before_those_made_later():
    made = [*ids.new_ids(100), *ids.new_ids(0), ids.new_id(), *ids.new_ids(2)]

    assert len(made) == 103
    assert made == sorted(set(made))
    assert {uuid.UUID(id_).version for id_ in made} == {7}
