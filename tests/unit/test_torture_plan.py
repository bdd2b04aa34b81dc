"""The plan of the torture run: what a seed decides, and what is drawn for submitters."""

from __future__ import annotations

import json
from random import Random

from torture.hosts.plan import HOST_DECK, HOST_PACE, ODD_CLOCK_DECK, SPANS
from torture.kinds import KINDS, draw, draw_family, from_fields, to_fields, to_job
from torture.plan import SERVER_DECK, SESSION_DECK, plan


def test_one_seed_is_one_plan():
    assert plan(7, 60.0) == plan(7, 60.0)
    assert plan(7, 60.0) != plan(8, 60.0)


def test_a_longer_run_begins_as_a_shorter_one_of_the_same_seed():
    short = plan(7, 30.0)

    assert plan(7, 300.0)[: len(short)] == short


def test_a_minute_has_every_fault():
    done = {(fault.what, fault.target) for fault in plan(7, 60.0)}

    assert len(done) == 23


def test_two_minutes_have_every_fault_of_a_server_and_none_of_files():
    done = {(fault.what, fault.target) for fault in plan(7, 120.0, SERVER_DECK)}

    assert set(SERVER_DECK) < done
    assert not done & {("fill", "disk"), ("restore", "database")}


def test_the_sessions_of_another_server_have_faults_and_it_has_none():
    ways = {what for what, target in SESSION_DECK if target == "server"}

    assert ways == {"lock-rows", "terminate"}


def test_seven_minutes_have_every_fault_of_a_host_and_a_clock_that_jumps_where_it_may():
    odd, right = [
        {(fault.what, fault.target) for fault in plan(7, 420.0, deck, SPANS, HOST_PACE)}
        for deck in (ODD_CLOCK_DECK, HOST_DECK)
    ]

    assert {("lose", "network"), ("die", "host"), ("jump", "host")} < odd
    assert {*HOST_DECK} < right
    assert ("jump", "host") not in right


def test_every_two_and_a_half_minutes_a_hundred_jobs_overrun_together():
    times = [fault.at for fault in plan(7, 400.0) if fault.what == "many"]

    assert [int(at // 150) for at in times] == [0, 1, 2]


def test_every_kind_of_job_can_be_made_also_from_its_ledger_line():
    rng = Random(7)
    drawn = [draw(rng) for _ in range(1000)]
    again = [from_fields(json.loads(json.dumps(to_fields(spec)))) for spec in drawn]

    made = [to_job("a", spec, "ledger") for spec in again]

    assert again == drawn
    assert {job.name for job in made} == set(KINDS)


def test_a_family_has_no_circles_and_all_its_parents_within():
    ids = [f"s.{number}" for number in range(7)]
    rng = Random(7)

    for _ in range(50):
        family = dict(draw_family(rng, ids))

        assert set(family) == set(ids)
        assert all(
            ids.index(parent) < ids.index(job) for job in family for parent in family[job].parents
        )
