"""The marks by which a process is known: the tag, and the stamp made from it."""

from __future__ import annotations

import os
import resource

from support.forked import in_a_child

from gigqd.process.process_tag import ProcessTags, Tag, is_of_home, is_of_run, tags_of

TAG = Tag("0123456789ab", "gigqd:77", "default/0", 5)


def test_a_stamp_fits_a_resource_limit_and_is_no_limit_that_somebody_sets() -> None:
    assert 2**61 < TAG.rlimit_tag < 2**62
    assert TAG.rlimit_tag != resource.RLIM_INFINITY


def test_a_process_tag_names_the_database_and_the_run() -> None:
    assert is_of_home(TAG.rlimit_tag, TAG.home)
    assert not is_of_home(TAG.rlimit_tag, "another")
    assert is_of_run(TAG.rlimit_tag, TAG.run)
    assert not is_of_run(TAG.rlimit_tag, "gigqd:78")


def test_a_mark_that_cannot_be_read_for_want_of_a_descriptor_is_not_taken_for_none() -> None:
    def without_descriptors() -> object:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        return tags_of(os.getpid())

    assert in_a_child(without_descriptors).startswith("OSError: [Errno 24]")


def test_generations_have_different_stamps() -> None:
    others = {Tag(TAG.home, TAG.run, TAG.slot, number).rlimit_tag for number in range(1000)}

    assert len(others) == 1000


def test_a_process_is_known_by_either_mark() -> None:
    other = Tag(TAG.home, TAG.run, TAG.slot, 6)

    assert TAG.matches(ProcessTags(TAG, None))
    assert TAG.matches(ProcessTags(None, TAG.rlimit_tag))
    assert TAG.matches(ProcessTags(other, TAG.rlimit_tag))
    assert not TAG.matches(ProcessTags(other, other.rlimit_tag))
    assert not TAG.matches(ProcessTags(None, None))
