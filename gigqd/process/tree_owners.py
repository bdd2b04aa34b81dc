"""Lookup of the worker to which an adopted process belongs, by session and process tags.

The workers' tags are put into tables first, so that the cost for each process does not grow with
the number of workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigqd.linux.syscalls import Process
    from gigqd.process.process_tag import ProcessTags, Tag


class TreeOwners:
    """The workers whose trees are searched, by session and tags.

    Args:
        tags: the workers by process id, with the tags given to them.
    """

    def __init__(self, tags: Mapping[int, Tag]) -> None:
        self._pids = frozenset(tags)
        self._by_tag: dict[Tag | None, int] = {tag: pid for pid, tag in tags.items()}
        self._by_rlimit_tag: dict[int | None, int] = {
            tag.rlimit_tag: pid for pid, tag in tags.items()
        }

    def by_session(self, process: Process) -> int | None:
        """Return the worker in whose session a process is; None when there is none."""
        return process.session if process.session in self._pids else None

    def by_tags(self, tags: ProcessTags) -> set[int]:
        """Return the workers whose environment tag or rlimit tag a process has."""
        found = self._by_tag.get(tags.tag), self._by_rlimit_tag.get(tags.rlimit_tag)
        return {pid for pid in found if pid is not None}
