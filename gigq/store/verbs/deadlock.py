"""Repetition of a verb whose transaction the server has undone because of others."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from gigq.store.session import Deadlock

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 20
_Params = ParamSpec("_Params")
_Value = TypeVar("_Value")


def repeated(verb: Callable[_Params, _Value]) -> Callable[_Params, _Value]:
    """Repeat a verb of one transaction when it and another transaction waited for each other.

    The verbs lock jobs in the order of their ids, and parents before dependents. Chains of
    dependents may still cross.
    """

    @wraps(verb)
    def patient(*args: _Params.args, **kwargs: _Params.kwargs) -> _Value:
        for _ in range(_MOST):
            try:
                return verb(*args, **kwargs)
            except Deadlock:
                continue
        return verb(*args, **kwargs)

    return patient
