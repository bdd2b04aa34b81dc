"""Values of log lines, and the memory that the check of their names takes."""

from gigqd.logs import loggable_values
from gigqd.logs.loggable_values import plain


def test_names_of_fields_are_remembered_up_to_a_limit() -> None:
    for number in range(1500):
        assert plain({f"field {number}": number}) == {f"field {number}": number}

    assert len(loggable_values._open_keys) <= 1000
