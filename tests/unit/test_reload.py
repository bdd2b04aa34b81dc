"""When a configuration is tried, taken and refused; the canary's process is played."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.configs import config_in

from gigqd.supervisor.daemon_status import DaemonStatus
from gigqd.supervisor.reload import Reloads
from gigqd.supervisor.slots import Slot

if TYPE_CHECKING:
    from pathlib import Path


class Children:
    """Slots without children; a test says which of them are up."""

    def __init__(self) -> None:
        self.slots: dict[str, Slot] = {}
        self.up: list[Slot] = []

    def add(self, name: str, pool: str, limits: Any, _trial: object) -> Slot:
        return self.slots.setdefault(name, Slot(name, pool, limits))

    def retire(self, slot: Slot) -> None:
        slot.retired = True

    def is_up(self, slot: Slot) -> bool:
        return slot in self.up

    def use(self, *_given: object) -> None:
        """Take the configuration."""

    @property
    def canary(self) -> Slot:
        """The slot that was opened last."""
        return list(self.slots.values())[-1]


@pytest.fixture
def children() -> Children:
    return Children()


@pytest.fixture
def pools() -> Any:
    return SimpleNamespace(opened=True, replace_all=lambda: None, fit=lambda _config: None)


@pytest.fixture
def facts(tmp_path: Path) -> DaemonStatus:
    return DaemonStatus(config_in(tmp_path), "gigqd:1")


@pytest.fixture
def reloads(facts: DaemonStatus, children: Any, pools: Any) -> Reloads:
    notifier: Any = SimpleNamespace(reloading=lambda: None, ready=lambda _text: None)
    return Reloads(facts, children, pools, notifier)


def test_a_configuration_is_taken_when_its_canary_is_up(
    reloads: Reloads, children: Children
) -> None:
    answers: list[dict[str, Any]] = []
    reloads.ask(answers.append)
    reloads.step()
    before = list(answers)

    children.up.append(children.canary)
    reloads.step()

    assert before == []
    assert [answer["ok"] for answer in answers] == [True]
    assert children.canary.retired


def test_an_earlier_canary_that_still_runs_a_job_proves_nothing(
    reloads: Reloads, children: Children
) -> None:
    answers: list[dict[str, Any]] = []
    reloads.ask(answers.append)
    children.up.append(children.canary)
    reloads.step()

    reloads.ask(answers.append)
    reloads.step()

    assert len(answers) == 1
    children.canary.failures = 2
    reloads.step()
    assert [answer["ok"] for answer in answers] == [True, False]


def test_the_failures_of_an_earlier_canary_refuse_nothing(
    reloads: Reloads, children: Children
) -> None:
    answers: list[dict[str, Any]] = []
    reloads.ask(answers.append)
    reloads.ask(answers.append)
    children.canary.failures = 2
    reloads.step()

    reloads.step()

    assert [answer["ok"] for answer in answers] == [False]
    children.up.append(children.canary)
    reloads.step()
    assert [answer["ok"] for answer in answers] == [False, True]


def test_before_the_pools_are_open_a_reload_waits(
    reloads: Reloads, children: Children, pools: Any
) -> None:
    pools.opened = False
    reloads.ask(lambda _answer: None)
    reloads.step()
    before = dict(children.slots)

    pools.opened = True
    reloads.step()

    assert before == {}
    assert children.canary.name.startswith("default/canary")


def test_a_stop_refuses_all_that_wait_and_opens_no_other_canary(
    reloads: Reloads, children: Children, facts: DaemonStatus
) -> None:
    answers: list[dict[str, Any]] = []
    for _ in range(3):
        reloads.ask(answers.append)
    facts.stopping = True

    reloads.step()
    reloads.ask(answers.append)

    assert [answer["ok"] for answer in answers] == [False] * 4
    assert len(children.slots) == 1


@pytest.mark.fault("D15")
def test_a_stop_refuses_the_reload_whose_file_is_caught_while_it_is_rewritten(
    reloads: Reloads, children: Children, facts: DaemonStatus
) -> None:
    answers: list[dict[str, Any]] = []
    source = facts.config.source
    assert source
    source.write_text(source.read_text()[:-20])
    reloads.ask(answers.append)
    before = list(answers)
    facts.stopping = True

    reloads.step()
    reloads.step()

    assert before == []
    assert [(answer["ok"], answer["error"]) for answer in answers] == [
        (False, "the daemon is stopping")
    ]
    assert reloads.at == float("inf")
    assert children.slots == {}
