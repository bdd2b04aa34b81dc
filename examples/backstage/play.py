"""The demo itself: its steps, and what it prints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import troublemakers
from stdlib_index import workflow

from backstage.audit import Check, Evidence, audit
from backstage.daemon import Daemon, DemoFailedError, pool_size
from backstage.living_processes import living_in
from backstage.narration import LogReader, Stage, sentence
from backstage.recount import recount
from gigq import Job, JobQueue

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from backstage.interruption import Interruption

_SMALL = ("json", "email", "logging", "importlib")
_WITHIN = 50.0
_LOOK_EVERY = 0.1
_FEW, _MANY = 2, 4
_RELOAD_AT = 0.25


class Demo:
    """One performance, in acts.

    1. Starts the daemon with two workers.
    2. Submits the index and the bad jobs.
    3. Watches until all jobs are over, and enlarges the pool.
    4. Stops the daemon and compares what is with what must be.

    Args:
        folder: where everything that it makes is.
        interruption: is asked whether to go on.
        options: the command line.
    """

    def __init__(
        self, folder: Path, interruption: Interruption, options: argparse.Namespace
    ) -> None:
        self.folder = folder
        self.daemon = Daemon(folder)
        self._check = interruption.check
        self._options = options
        self._stage = Stage()
        self._log = LogReader(self.daemon.log)
        self._queue = JobQueue(self.daemon.database, initialize=False)
        self._files = _chosen_files(small=options.small)
        self._trouble = troublemakers.all_three(folder)
        self._index, self._last = workflow.build(self._files)
        self._sizes: list[int] = []
        self._children: set[int] = set()

    @property
    def _jobs(self) -> list[Job]:
        return [*self._trouble.values(), *self._index.jobs]

    def run(self) -> list[Check]:
        """Perform all acts."""
        self._start()
        self._submit()
        self._watch()
        status = self.daemon.status()
        # A job is over in the database a moment before the log says how that came about.
        self._tell_news()
        self._stop()
        self._tell_news()
        return audit(self._evidence(status))

    # --- the acts ----------------------------------------------------------------------------

    def _start(self) -> None:
        self.daemon.configure(_FEW)
        self._stage.say(self.daemon.start())
        self._note_size()

    def _submit(self) -> None:
        self._queue.submit_many(self._trouble.values())
        self._index.submit_all(self._queue)
        files, jobs = len(self._files), len(self._jobs)
        self._stage.say(f"{jobs} jobs submitted: {files} source files, their merges, 3 bad ones")

    def _watch(self) -> None:
        """Follow the jobs until the last one is over."""
        deadline = time.monotonic() + _WITHIN
        while (over := self._show_progress()) < len(self._jobs):
            self._check()
            if time.monotonic() > deadline:
                raise DemoFailedError(f"{len(self._jobs) - over} jobs not over in {_WITHIN:g} s")
            if over >= _RELOAD_AT * len(self._jobs) and len(self._sizes) == 1:
                self._reload()
            time.sleep(_LOOK_EVERY)

    def _reload(self) -> None:
        self._stage.show(f"\n{self.daemon.describe()}\n")
        self.daemon.configure(_MANY)
        self._stage.say(f"default.size is now {_MANY} in the file. {self.daemon.reload()}")
        self._note_size()

    def _stop(self) -> None:
        self._check()
        self._stage.say(f"all {len(self._jobs)} jobs are over")
        self._children = self._living_children()
        self._stage.say(self.daemon.stop())

    # --- what is seen ------------------------------------------------------------------------

    def _show_progress(self) -> int:
        self._tell_news()
        stats = self._queue.stats()
        over = stats["total"] - stats["pending"] - stats["running"]
        self._stage.progress(over, stats["running"], len(self._jobs))
        return over

    def _tell_news(self) -> None:
        for event in self._log.news():
            if text := sentence(event):
                self._stage.report(event, text)
            if event["event"] == "exit_recorded" and event["cause"] == "timeout":
                self._tell_of_children()

    def _tell_of_children(self) -> None:
        pids = " ".join(map(str, sorted(self._all_children())))
        alive = len(self._living_children())
        self._stage.say(f"        its child processes were {pids}; alive: {alive or 'none'}")

    def _note_size(self) -> None:
        self._sizes.append(pool_size(self.daemon.status()))

    def _all_children(self) -> set[int]:
        file = self.folder / "children.pids"
        return {int(pid) for pid in file.read_text().split()} if file.exists() else set()

    def _living_children(self) -> set[int]:
        return self._all_children() & living_in(self.folder)

    def _evidence(self, status: dict[str, Any]) -> Evidence:
        self._stage.say("counting the files once more, without jobs and by another method")
        counted = recount(self._files, workflow.MOST_DEFINED, self._check)
        counted["functions"] += self._options.miscount
        few, many = self._sizes
        return Evidence(
            jobs={job.id: self._queue.get_status(job.id) for job in self._jobs},
            trouble={name: job.id for name, job in self._trouble.items()},
            stats=self._queue.stats(),
            status=status,
            pools=(few, many),
            kill=self._log.last("exit_recorded", self._trouble["overrun"].id),
            children=self._children,
            index=self._queue.get_result(self._last.id),
            recount=counted,
        )


def _chosen_files(*, small: bool) -> list[Path]:
    files = workflow.source_files()
    return [path for path in files if not small or workflow.package_of(path) in _SMALL]
