"""Files that fit a sitting and functions that do one thing. The limits are those of the house."""

from __future__ import annotations

from statistics import median, quantiles

from support.tree import ROOT, body_lines, functions, modules

PUBLIC_TYPES = {"gigq/model/job.py", "gigq/worker.py", "gigq/queue.py"}
"""Constructors with the parameters that GigQ gave them, and a list with one for each condition."""


def lines(file):
    return len(file.read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_a_sitting():
    too_long = {str(f.relative_to(ROOT)): lines(f) for f in modules() if lines(f) > 350}

    assert too_long == {}


def test_no_statement_file_is_longer_than_400_lines():
    too_long = [f for f in (ROOT / "gigq").rglob("*.sql") if lines(f) > 400]

    assert too_long == []


def test_half_of_the_files_have_at_most_120_lines():
    assert median(map(lines, modules())) <= 120


def test_no_function_has_more_than_45_lines():
    too_long = [f"{place}: {body_lines(place.node)}" for place in functions()]
    too_long = [text for text in too_long if int(text.rpartition(" ")[2]) > 45]

    assert too_long == []


def test_half_of_the_functions_have_at_most_7_lines_and_nine_in_ten_at_most_20():
    lengths = [body_lines(place.node) for place in functions()]

    assert median(lengths) <= 7
    assert quantiles(lengths, n=10)[-1] <= 20


def test_no_function_takes_more_than_8_parameters():
    def parameters(place):
        arguments = place.node.args
        return len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])

    many = [f for f in functions() if parameters(f) > 8]

    assert [str(f) for f in many if str(f.file.relative_to(ROOT)) not in PUBLIC_TYPES] == []


def test_the_supervisors_loop_can_be_read_aloud():
    loops = [f for f in functions() if f.file.match("supervisor/loop.py") and f.node.name == "run"]

    assert loops
    assert all(body_lines(f.node) <= 40 for f in loops)
