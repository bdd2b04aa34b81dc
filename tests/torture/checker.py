"""Finds every promise that a run has broken, from its ledger and its final database alone.

Each check is a generator: of one job's story, of one beside all others, or of the whole history.
What it yields names the promise, the job, and the lines of the ledger that show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torture import attempts, order, outcomes, storing
from torture.violations import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.history import History

_OF_A_STORY = (
    storing.lost,
    storing.unexpected,
    storing.refused,
    attempts.started_twice,
    attempts.ran_after_success,
    attempts.changed_after_its_end,
    attempts.overlapping,
    attempts.survivors,
    outcomes.phantom,
    outcomes.over_tried,
    outcomes.cancelled,
    outcomes.disagreeing,
    order.before_its_time,
    order.before_its_delay,
    order.outside_its_expiry,
)


def check(history: History) -> list[Violation]:
    """Everything that is wrong with a run."""
    stories = history.stories()
    return [
        *(found for story in stories.values() for one in _OF_A_STORY for found in one(story)),
        *(found for story in stories.values() for found in order.before_parents(story, stories)),
        *(found for story in stories.values() for found in outcomes.wrong_inputs(story, stories)),
        *storing.torn(stories),
        *outcomes.stuck(stories),
        *attempts.left_behind(history),
        *attempts.after_the_stop(history),
        *_corrupt(history),
    ]


def _corrupt(history: History) -> Iterator[Violation]:
    for text in [*history.integrity, *history.foreign_keys]:
        yield Violation("corrupt", None, text)
