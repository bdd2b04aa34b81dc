"""The pure parts of the benchmark: what is made of figures, and that no queue is left out."""

from __future__ import annotations

import ast
import sys

import pytest
from support.tree import ROOT

sys.path.insert(0, str(ROOT))

from bench import aims, figures, peers, report, runs
from bench.headings import HEADINGS
from bench.scenarios import ON_POSTGRES, ONLY_ON_SERVER, SCENARIOS
from bench.server_load import statements_in


def test_a_median_over_rounds_takes_only_those_that_have_the_figure():
    maintenance = [{"jobs/s": 10.0}, {"jobs/s": 30.0, "p50 ms": 2.0}, {"jobs/s": 20.0}]

    assert figures.medians(maintenance) == {"jobs/s": 20.0, "p50 ms": 2.0}


@pytest.mark.parametrize(
    ("own", "other", "more_is_better", "expected"),
    [
        (200.0, 100.0, True, 2.0),
        (1.0, 4.0, False, 4.0),
        (100.0, 0.0, True, None),
        (None, 5.0, True, None),
    ],
)
def test_a_ratio_says_how_many_times_better_gigq_is(own, other, more_is_better, expected):
    assert figures.ratio(own, other, more_is_better=more_is_better) == expected


def test_a_quantile_is_one_of_the_values():
    values = list(range(100, 0, -1))

    assert figures.quantile(values, 0.5) == 51
    assert figures.quantile(values, 0.99) == 100
    assert figures.quantile([7], 0.99) == 7


def test_the_spread_is_the_farthest_worker_from_the_mean():
    assert figures.spread([100, 100]) == 0
    assert figures.spread([150, 50]) == 0.5


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (12345.6, "12,346"), (12.34, "12.3"), (0.5, "0.50"), (0.01, "0.010")],
)
def test_figures_are_written_with_the_digits_that_count(value, text):
    assert figures.written(value) == text


def test_a_bar_in_a_cell_does_not_break_a_table():
    assert figures.table(["a", "b"], [["x|y", "1"]]).splitlines()[2] == "| x\\|y | 1 |"


def record(maintenance):
    said = {"title": "gigq", "durable": "yes", "settings": "", "requires": []}
    other = said | {"title": "other"}
    gone = said | {"title": "gone", "missing": "no wheel"}
    return {
        "machine": {"cores": 2},
        "peers": {"gigq": said, "other": other, "gone": gone},
        "rounds": maintenance,
        "floors": {"fsync": [3.0, 5.0, 4.0]},
    }


def test_the_page_shows_ratios_remarks_and_what_could_not_be_installed():
    drained = {"gigq": [{"jobs/s": 4000.0, "jobs": 9}], "other": [{"jobs/s": 1000.0, "jobs": 9}]}
    drained["other"].append({"stopped": "killed\nby the user"})

    rows = report.page(record({"drain": drained})).splitlines()

    assert "| gigq | 4,000 | 9 | 1.00x |  |" in rows
    assert "| other | 1,000 | 9 | 4.00x | killed by the user |" in rows
    assert "| gone | - | - | - | no wheel |" in rows
    assert "| fsync | 4.00 |" in rows


def test_every_scenario_has_a_heading():
    assert set(HEADINGS) == set(SCENARIOS)


def test_the_table_names_every_queue_that_has_a_module():
    modules = {file.stem for file in (ROOT / "bench/peers").glob("*.py")} - {"__init__"}

    assert set(peers.ALL) == modules
    assert [peers.peer(name).name for name in peers.ALL] == list(peers.ALL)
    assert {"gigq==0.5.1"} < {need for name in peers.NAMES for need in peers.peer(name).requires}


def test_every_queue_states_its_durability_its_settings_and_exact_versions():
    for peer in map(peers.peer, peers.ALL):
        assert peer.durable.startswith(("yes", "no"))
        assert peer.settings
        assert all("==" in need for need in peer.requires)


def test_what_runs_in_another_environment_imports_only_the_standard_library():
    for name in ("board", "work", "protocol", "agent"):
        tree = ast.parse((ROOT / f"bench/{name}.py").read_text())
        froms = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
        outside = {m for m in froms if m.split(".")[0] not in sys.stdlib_module_names | {"bench"}}

        assert outside == set()


def test_a_run_on_postgresql_compares_with_gigq_there_and_shows_its_aims():
    ours = {"title": "gigq", "durable": "yes", "settings": "", "requires": []}
    run = record({"drain": {aims.ON: [{"jobs/s": 3000.0}], "pgqueuer": [{"jobs/s": 1500.0}]}})
    run["peers"] = {aims.ON: ours, "pgqueuer": ours | {"title": "pgqueuer"}}
    rows = report.page(run).splitlines()

    assert "| pgqueuer | 1,500 | - | 2.00x |" in rows
    assert "| drain, 2 workers, beside pgqueuer | at least 1.5 times | 2.00 times | met |" in rows


@pytest.mark.parametrize(
    ("what", "found", "shown"),
    [
        (
            {"drain": {aims.ON: [{"jobs/s": 10.0}, {"jobs/s": 14.0}]}},
            "pgqueuer",
            "not measured |  |",
        ),
        (
            {"bulk": {aims.ON: [{"jobs/s": 5.0}], "pgqueuer": [{"jobs/s": 10.0}]}},
            "submit many",
            "missed",
        ),
        (
            {"idle_load": {aims.ON: [{"queries/s": 2.0}]}},
            "idle daemon",
            "2.00 queries a second | met",
        ),
        ({"idle_load": {aims.ON: [{"queries/s": 2.1}]}}, "idle daemon", "missed"),
    ],
)
def test_an_aim_is_met_missed_or_not_measured(what, found, shown):
    (row, *_) = [line for line in aims.page(what).splitlines() if found in line]

    assert shown in row


def test_the_floor_has_no_scenarios_that_need_notifications():
    measured = {name for name in SCENARIOS if runs._belongs(name, "raw_postgres")}

    assert measured == {*ON_POSTGRES} - {"latency", *ONLY_ON_SERVER}


def test_statements_in_the_log_of_a_server_are_counted_and_nothing_else():
    log = (
        "2026-01-01 UTC [7] LOG:  statement: BEGIN; SELECT 1\n"
        "2026-01-01 UTC [7] LOG:  execute <unnamed>: SELECT\n"
        "\tname FROM jobs\n"
        "2026-01-01 UTC [7] DETAIL:  parameters: $1 = 'x'\n"
        "2026-01-01 UTC [8] LOG:  checkpoint starting: time\n"
    )

    assert statements_in(log) == 2
