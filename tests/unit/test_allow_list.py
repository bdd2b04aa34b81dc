"""The allow list as a rule: which references it covers, and where a function is at home."""

import asyncio
from datetime import datetime

import pytest

from gigq.errors import FunctionNotAllowed
from gigq.model import allow_list
from gigq.model.function_import import FunctionRef


def allowed(ref, *patterns):
    try:
        allow_list.check(ref, patterns)
    except FunctionNotAllowed:
        return False
    return True


def test_the_allow_list_covers_modules_and_scripts():
    ref = FunctionRef("myapp.tasks", "send")

    assert allowed(ref, "other.*", "myapp.*")
    assert not allowed(ref, "myapp2.*")
    assert not allowed(ref)
    assert allowed(FunctionRef("__main__", "f", "/srv/app/run.py"), "/srv/app/*")
    assert not allowed(FunctionRef("__main__", "f", "/tmp/run.py"), "__main__.*")


@pytest.mark.parametrize("pattern", ["*.tasks.*", "*tasks*", "*.py", "*s.send.py", "[/]tmp/*"])
def test_a_pattern_for_modules_covers_no_script(pattern):
    assert not allowed(FunctionRef("__main__", "send", "/tmp/b.tasks.send.py"), pattern)


@pytest.mark.parametrize(
    ("ref", "pattern"),
    [
        (FunctionRef("myapp.tasks", "send"), "myapp.tasks.send"),
        (FunctionRef("__main__", "send", "/srv/night.py"), "/srv/night.py"),
    ],
)
def test_the_refusal_names_a_pattern_that_allows_the_function(ref, pattern):
    with pytest.raises(FunctionNotAllowed, match=f"add '{pattern}' to the allow list"):
        allow_list.check(ref, ("other.*",))

    assert allowed(ref, "other.*", pattern)


@pytest.mark.parametrize("odd", [b"myapp.tasks", 1, None, "myapp.\udcff"])
def test_what_is_no_text_or_no_name_is_refused_whatever_the_patterns(odd):
    assert not allowed(FunctionRef(odd, "send"), "*")
    assert not allowed(FunctionRef("myapp", odd), "*")
    assert not allowed(FunctionRef("__main__", "send", odd or 0), "*")


def test_a_refusal_says_what_is_wrong_with_the_reference():
    ref = FunctionRef("__main__", "call", "myapp.x/../subprocess.py")

    with pytest.raises(FunctionNotAllowed, match=r"'myapp.x/../subprocess.py' is not an absolute"):
        allow_list.check(ref, ("myapp.*",))


def test_a_name_that_leads_elsewhere_is_known_by_where_it_was_defined():
    through = FunctionRef("asyncio", "run")

    assert allow_list.own_reference(asyncio.run, through).module == "asyncio.runners"


@pytest.mark.parametrize("method", [datetime.fromisoformat, datetime.isoformat])
def test_a_builtin_method_is_at_home_where_its_class_is(method):
    through = FunctionRef("myapp.tasks", f"datetime.{method.__name__}")

    assert allow_list.own_reference(method, through).module == "datetime"


def test_a_function_that_a_script_imported_is_at_home_in_its_own_module():
    through = FunctionRef("__main__", "run", "/srv/app/run.py")

    assert str(allow_list.own_reference(asyncio.run, through)) == "asyncio.runners.run"
