"""What is submitted: the kinds of jobs, drawn by chance, and how a drawn one becomes a job."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from torture import jobs
from torture.children import WAYS

from gigq import Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


_SECOND_POOL = 0.15


@dataclass(slots=True)
class Spec:
    """One job to submit, as it stands in the ledger.

    Attributes:
        kind: its name in KINDS.
        function: the name of a function of `torture.jobs`.
        params: the function's parameters besides the ledger and the job's id.
        options: arguments of `Job`.
        delay: seconds before it may start; None for none.
        cancel: "pending" or "running" when it is to be cancelled, else None.
        cancel_after: seconds from its submit to its cancellation.
        parents: ids of the jobs that it depends on.
        batch: the id of the batch that it is a part of.
        not_before: the calendar time before which it must not start.
    """

    kind: str
    function: str
    params: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    delay: float | None = None
    cancel: str | None = None
    cancel_after: float = 0.0
    parents: list[str] = field(default_factory=list)
    batch: str | None = None
    not_before: float | None = None


def draw(rng: Random, lengthy: float = 0.0) -> Spec:
    """A job of some kind.

    Args:
        rng: the dice.
        lengthy: the share of jobs that outlast the usual ones by far.
    """
    names = list(KINDS)
    (name,) = rng.choices(names, [KINDS[name][0] for name in names])
    if lengthy and rng.random() < lengthy:
        return Spec("lengthy", "work", {"seconds": rng.uniform(2.0, 12.0)})
    spec = KINDS[name][1](rng)
    spec.kind = name
    if rng.random() < _SECOND_POOL:
        spec.options["queue"] = "second"
    return spec


def draw_family(rng: Random, ids: list[str]) -> list[tuple[str, Spec]]:
    """Jobs that depend on each other, in one batch; each id is one member."""
    family: list[tuple[str, Spec]] = []
    for number, job_id in enumerate(ids):
        spec = rng.choice((_plain, _plain, _flaky, _hopeless))(rng)
        spec.kind = "family"
        if number:
            spec.function, spec.params = "work", {"seconds": rng.uniform(0.0, 0.1)}
            spec.parents = rng.sample(ids[:number], rng.randint(1, min(3, number)))
            spec.options["on_parent_failure"] = rng.choice(("fail", "run", "run", "wait"))
        spec.batch = ids[0]
        family.append((job_id, spec))
    rng.shuffle(family)  # a parent may stand behind its dependents
    return family


def many(batch: str) -> Spec:
    """Return one of the jobs that overrun together: its worker sleeps in C until it is killed."""
    options = {"queue": "many", "timeout": 1.0, "max_attempts": 1}
    return Spec("many", "hang_in_c", {"hold_gil": False}, options, batch=batch)


def to_job(job_id: str, spec: Spec, ledger: str) -> Job:
    """The job that a spec describes."""
    due_at = None if spec.not_before is None else datetime.fromtimestamp(spec.not_before, UTC)
    job = Job(
        name=spec.kind,
        function=getattr(jobs, spec.function),
        params={"ledger": ledger, "job": job_id, **spec.params},
        dependencies=spec.parents,
        run_at=due_at,
        **spec.options,
    )
    job.id = job_id
    return job


def to_fields(spec: Spec) -> dict[str, Any]:
    """A spec as fields of a ledger line."""
    return asdict(spec)


def from_fields(fields: dict[str, Any]) -> Spec:
    """A spec from the fields of its ledger line."""
    return Spec(**{name: fields[name] for name in Spec.__slots__})


# --- the kinds -----------------------------------------------------------------------------------


def _plain(rng: Random) -> Spec:
    return Spec("", "work", {"seconds": rng.uniform(0.0, 0.03)})


def _longer(rng: Random) -> Spec:
    return Spec("", "work", {"seconds": rng.uniform(0.05, 0.6)})


def _flaky(rng: Random) -> Spec:
    return Spec("", "fail", {"chance": 0.5}, {"max_attempts": rng.randint(2, 4)})


def _hopeless(_rng: Random) -> Spec:
    return Spec("", "fail", {}, {"max_attempts": 1})


def _patient(rng: Random) -> Spec:
    options = {"max_attempts": 3, "retry_delay": rng.uniform(0.2, 1.0)}
    return Spec("", "fail", {"chance": 0.6}, options)


def _backoff(rng: Random) -> Spec:
    first = rng.uniform(0.1, 0.5)
    options = {"max_attempts": 4, "retry": [first, 2 * first]}
    return Spec("", rng.choice(("fail", "crash")), {"chance": 0.6}, options)


def _put_off(rng: Random) -> Spec:
    how = rng.choice(("snooze", "snooze", "later", "later", "give up", "cancel"))
    options = {"max_attempts": rng.choice((1, 3)), "max_snoozes": rng.choice((0, 2, 100))}
    return Spec("", "put_off", {"how": how, "delay": rng.uniform(0.1, 0.8)}, options)


def _once(rng: Random) -> Spec:
    spec = rng.choice((_longer, _crasher, _forker))(rng)
    spec.options["max_attempts"] = 1
    return spec


def _overrun(rng: Random) -> Spec:
    return Spec("", "overrun", {}, _short(rng))


def _stubborn(rng: Random) -> Spec:
    return Spec("", "resist", {}, _short(rng))


def _hang_in_c(rng: Random) -> Spec:
    return Spec("", "hang_in_c", {"hold_gil": rng.random() < 0.4}, _short(rng))


def _short(rng: Random) -> dict[str, Any]:
    return {"timeout": round(rng.uniform(0.2, 0.8), 2), "max_attempts": rng.choice((1, 2))}


def _crasher(rng: Random) -> Spec:
    code = rng.choice((None, None, 0, 3))
    return Spec("", "crash", {"chance": 0.5, "code": code}, {"max_attempts": rng.randint(2, 4)})


def _poison(_rng: Random) -> Spec:
    return Spec("", "crash", {}, {"max_attempts": 6, "crash_limit": 2})


def _forker(rng: Random) -> Spec:
    ways = [rng.choice(WAYS) for _ in range(rng.randint(1, 3))]
    then = rng.choice(("return", "raise", "crash", "stay"))
    return Spec("", "fork", {"ways": ways, "then": then}, {**_short(rng), "timeout": 1.0})


def _glutton(_rng: Random) -> Spec:
    options = {"memory_limit": "150 MB", "max_attempts": 2}
    return Spec("", "eat", {"megabytes": 400}, options)


def _talker(rng: Random) -> Spec:
    return Spec("", "talk", {"kilobytes": rng.choice((1, 200, 2000))})


def _limiter(rng: Random) -> Spec:
    params = {"then": rng.choice(("return", "raise")), "hard": rng.random() < 0.5}
    return Spec("", "limit", params, {"max_attempts": 2})


def _delayed(rng: Random) -> Spec:
    return Spec("", "work", delay=rng.uniform(0.2, 2.0))


def _expiring(rng: Random) -> Spec:
    spec = rng.choice((_plain, _longer, _patient, _backoff, _put_off))(rng)
    spec.delay = rng.choice((None, rng.uniform(0.1, 0.5)))
    spec.options["expires_in"] = rng.uniform(0.6, 2.0)
    return spec


def _cancelled(rng: Random) -> Spec:
    after = rng.uniform(0.0, 1.5)
    return Spec("", "work", delay=rng.uniform(0.0, 2.0), cancel="pending", cancel_after=after)


def _cancelled_while_running(rng: Random) -> Spec:
    spec = rng.choice((_overrun, _stubborn, _hang_in_c, _forker))(rng)
    spec.options = {"timeout": 5.0, "max_attempts": 3, "priority": 5}
    if spec.function == "fork":
        spec.params["then"] = "stay"
    spec.cancel, spec.cancel_after = "running", rng.uniform(0.1, 1.5)
    return spec


KINDS: dict[str, tuple[int, Callable[[Random], Spec]]] = {
    "plain": (20, _plain),
    "longer": (10, _longer),
    "flaky": (8, _flaky),
    "hopeless": (2, _hopeless),
    "patient": (6, _patient),
    "backoff": (4, _backoff),
    "put-off": (8, _put_off),
    "once": (6, _once),
    "overrun": (4, _overrun),
    "stubborn": (2, _stubborn),
    "hang-in-c": (3, _hang_in_c),
    "crasher": (6, _crasher),
    "poison": (2, _poison),
    "forker": (6, _forker),
    "glutton": (1, _glutton),
    "talker": (2, _talker),
    "limiter": (3, _limiter),
    "delayed": (5, _delayed),
    "expiring": (6, _expiring),
    "cancelled": (5, _cancelled),
    "cancelled-while-running": (4, _cancelled_while_running),
}
"""Every kind, with how often it is drawn. Families are drawn apart."""
