"""The options of a job about retries, the policy that they make, and its stored form."""

import json
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigq import InvalidJob, Job, JobTimeout, Retry
from gigq.model import retry_policy
from gigq.model.retry_options import UNSET_DELAY, RetryOptions, policy_of
from gigq.model.retry_policy import NO_POLICY, RetryPolicy

LONG = "x" * 1_000_000
CAUSES = st.sampled_from([*retry_policy.RULES])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


class UnavailableError(OSError):
    """An exception of an application."""


def work():
    """Do nothing."""


@pytest.mark.parametrize(
    "options",
    [
        RetryOptions(retry=Retry(first=1, factor=3, longest="2h", jitter=0)),
        RetryOptions(retry=[10, "1m", 600]),
        RetryOptions(retry_on=(UnavailableError, "requests.Timeout"), give_up_on=ValueError),
        RetryOptions(retry_by_cause={"timeout": "never", "crash": "1m"}, max_snoozes=7),
        RetryOptions(give_up_on="KeyError", of_task=True),
    ],
)
def test_a_policy_is_the_same_after_it_was_stored(options):
    policy = policy_of(options, UNSET_DELAY)
    text = policy.to_json()

    assert retry_policy.stored(text) == policy
    assert "NaN" not in text


def test_a_job_without_options_has_no_policy():
    assert policy_of(Job("a", work).retry_options, Job("a", work).retry_delay) is None


def test_a_list_of_delays_ends_with_the_last_one():
    policy = policy_of(RetryOptions(retry=[10, "1m", 600]), UNSET_DELAY)

    assert [policy.delay(n) for n in (1, 2, 3, 4, 60)] == [10, 60, 600, 600, 600]


def test_classes_are_stored_by_their_dotted_names():
    policy = policy_of(
        RetryOptions(retry_on=[UnavailableError, KeyError, "builtins.OSError"]), UNSET_DELAY
    )

    assert policy.retry_on == (f"{__name__}.UnavailableError", "KeyError", "OSError")


def test_a_delay_of_0_that_was_given_is_a_policy():
    assert policy_of(RetryOptions(), 0).delays == (0.0,)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"retry": []}, "retry is []; give a Retry, a list of delays"),
        ({"retry": 5}, "retry is 5; give a Retry, a list of delays"),
        ({"retry": "soon"}, "retry is 'soon'; give a list of delays such as ['10m'], or name a"),
        ({"retry": [1, "x"]}, 'retry[1]: "x" is not a duration'),
        ({"retry": [1], "retry_delay": 5}, "retry and retry_delay are both given"),
        ({"retry_on": 5}, "retry_on has 5; give exception classes"),
        ({"retry_on": [int]}, "retry_on has <class 'int'>; give exception classes"),
        ({"give_up_on": ["not a name"]}, "give_up_on has 'not a name'"),
        ({"give_up_on": JobTimeout}, "retry_by_cause={'timeout': 'never'}"),
        ({"retry_by_cause": "never"}, "retry_by_cause is 'never'; give a dict"),
        ({"retry_by_cause": {"oops": "never"}}, "has the cause 'oops'; the causes are error"),
        ({"retry_by_cause": {"crash": "soon"}}, "retry_by_cause['crash'] is 'soon'"),
        ({"max_snoozes": -1}, "max_snoozes is -1; give an integer from 0"),
        ({"max_snoozes": True}, "max_snoozes is True"),
        ({"retry": Retry}, "retry is the class 'Retry'; give an object: Retry()"),
        ({"retry": [1] * 1001}, "retry has more than 1,000 delays; give fewer (the last one is"),
        ({"retry": f"app:{LONG}"}, "retry is 'app:xxx"),
        ({"retry_on": LONG}, "retry_on has 'xxx"),
        ({"give_up_on": repeat(KeyError)}, "give_up_on has more than 1,000 classes; give fewer"),
        ({"retry_by_cause": {"crash": LONG}}, "retry_by_cause['crash'] is 'xxx"),
        ({"retry_by_cause": {LONG: "1m"}}, "retry_by_cause has the cause 'xxx"),
        ({"retry": LONG}, "retry is 'xxx"),
        ({"max_snoozes": 10**5000}, "max_snoozes is an int; give an integer from 0"),
        ({"retry_delay": 1e300}, "retry_delay is 1e+300; give at most 315,360,000"),
        ({"retry_delay": 10**400}, "retry_delay is 100000"),
        ({"retry_delay": 10**5000}, "retry_delay is an int; give seconds"),
        ({"timeout": 10**5000}, "timeout is an int; give seconds above 0"),
        ({"priority": 10**5000}, "priority is an int; give an integer of at most 63 bits"),
    ],
)
def test_an_option_that_makes_no_sense_is_named_before_anything_is_stored(options, problem):
    with pytest.raises(InvalidJob) as raised:
        Job("a", work, **options)

    assert problem in str(raised.value)
    assert len(str(raised.value)) < 250


def test_an_option_may_be_changed_until_the_submit():
    job = Job("a", work)
    job.retry, job.max_snoozes = [3], 5

    assert (job.retry, job.max_snoozes, job.retry_on) == ([3], 5, None)
    assert policy_of(job.retry_options, job.retry_delay).delays == (3.0,)


KEYS = st.sampled_from([*RetryPolicy._fields])


@given(JSON | st.dictionaries(KEYS, JSON | st.lists(JSON) | st.dictionaries(CAUSES, JSON)))
def test_what_other_programs_wrote_as_a_policy_stops_nothing(value):
    policy = retry_policy.stored(json.dumps(value))

    for attempt in (1, 60):
        for cause in retry_policy.RULES:
            delay = retry_policy.delay_by_rule(policy, cause, policy.delay(attempt) or 0)
            assert delay is None or delay >= 0


@pytest.mark.parametrize(
    "text", [*(None, 5, b"x", "", "no JSON", "[" * 100_000), '{"max_snoozes": Infinity}']
)
def test_a_column_without_a_policy_is_no_policy(text):
    assert retry_policy.stored(text) == NO_POLICY


@pytest.mark.parametrize("text", ["[]", "5", '"retry"', "null"])
def test_json_that_is_no_object_is_named_as_the_problem(text):
    assert retry_policy.problem(text) == "TypeError: it is no object"


def test_the_problem_of_a_long_value_is_short():
    assert len(retry_policy.problem(json.dumps({"max_snoozes": "x" * 4000}))) == 200


@pytest.mark.parametrize("attempt", [0, -5])
@pytest.mark.parametrize(
    "policy", [RetryPolicy(delays=(1.0, 2.0)), RetryPolicy(Retry(1, jitter=0))]
)
def test_an_attempt_that_another_program_counted_wrongly_is_the_first(policy, attempt):
    assert policy.delay(attempt) == 1.0


def test_rules_for_causes():
    policy = RetryPolicy(causes={"timeout": "never", "lost": "policy", "memory": 30.0})

    def delay(cause):
        return retry_policy.delay_by_rule(policy, cause, 5.0)

    assert (delay("timeout"), delay("lost"), delay("memory")) == (None, 5.0, 30.0)
    assert (delay("error"), delay("stop")) == (5.0, 0.0)


def test_after_a_crash_the_next_attempt_waits_at_least_a_second():
    assert retry_policy.delay_by_rule(NO_POLICY, "crash", 0.0) == 1.0
    assert retry_policy.delay_by_rule(NO_POLICY, "crash", 9.0) == 9.0
