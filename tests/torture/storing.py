"""Checks of what is stored: all that was accepted, nothing that was refused, and whole batches."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from torture.violations import of_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.history import Story
    from torture.violations import Violation

_MAY_BE_DONE = "may have been done all the same"


def lost(story: Story) -> Iterator[Violation]:
    """What was accepted is stored."""
    accepted = story.of("accepted")
    if accepted and story.row is None:
        yield of_job("lost", story, "submit returned, and it is not in the database", *accepted)


def unexpected(story: Story) -> Iterator[Violation]:
    """What is stored was submitted."""
    if story.row is not None and not story.of("intent"):
        yield of_job("unexpected", story, "it is stored, and was never submitted")


def refused(story: Story) -> Iterator[Violation]:
    """When submit raises, nothing was stored. Without an answer either may be the case.

    So it may after StoreGone: the file was moved away between the commit and the look at its path,
    and the copy that was restored has the job. And so it may after a lost connection to a server:
    the answer to the commit was lost.
    """
    intents, answers = story.of("intent"), story.of("refused")
    if any(_leaves_open(str(each.data.get("error"))) for each in answers):
        return
    if story.row is not None and intents and len(answers) == len(intents):
        text = f"every submit raised ({answers[0].data.get('error')}), and it is stored"
        yield of_job("refused", story, text, *answers)


def _leaves_open(error: str) -> bool:
    """Whether an error may have come after the commit."""
    return error.startswith("StoreGone") or _MAY_BE_DONE in error


def torn(stories: dict[str, Story]) -> Iterator[Violation]:
    """Of a batch all jobs are stored, or none."""
    batches: dict[str, list[Story]] = defaultdict(list)
    for story in stories.values():
        if batch := story.spec.get("batch"):
            batches[batch].append(story)
    for batch, members in batches.items():
        missing = [story for story in members if story.row is None]
        if 0 < len(missing) < len(members):
            text = f"batch {batch}: {len(missing)} of {len(members)} jobs are missing"
            yield of_job("torn", missing[0], text, *missing[0].of("intent"))
