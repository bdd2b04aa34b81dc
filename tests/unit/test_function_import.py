"""How functions are written down by name, found again, and allowed."""

import functools
import os
import sys
import textwrap
import types

import pytest

from gigq.errors import FunctionNotFound, FunctionNotImportable, InvalidJob
from gigq.model import function_import
from gigq.model.function_import import FunctionRef

MODULE = """
import functools
import os
import gigq

def plain(a=1): return a + 1
async def asynchronous(): pass
def generator(): yield 1
async def async_generator(): yield 1
nameless = lambda: 1
def outer():
    def inner(): pass
    return inner
class Tools:
    @staticmethod
    def static(): return "static"
    @classmethod
    def of_class(cls): return cls.__name__
    def method(self): pass
    def __call__(self): pass
@gigq.task
def tasked(): return "tasked"
def doubled(fn):
    @functools.wraps(fn)
    def wrapper(): return fn() * 2
    return wrapper
@doubled
def wrapped(): return 21
covered = plain
def plain(a=1): return "another"
not_callable = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "sample_functions.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sample_functions", raising=False)
    import sample_functions

    return sample_functions


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("plain", "another"),
        ("Tools.static", "static"),
        ("Tools.of_class", "Tools"),
        ("tasked", "tasked"),
        ("wrapped", 42),
    ],
)
def test_a_function_with_a_name_is_described_and_found_again(module, name, result):
    ref = function_import.describe(functools.reduce(getattr, name.split("."), module))

    assert ref == FunctionRef("sample_functions", name)
    assert function_import.load(ref)() == result


def test_a_function_without_its_task_is_described_by_the_tasks_name(module):
    assert function_import.describe(module.tasked.__wrapped__).name == "tasked"


def test_a_builtin_is_described():
    assert function_import.describe(os.getpid) == FunctionRef("posix", "getpid")
    assert function_import.describe(len) == FunctionRef("builtins", "len")


@pytest.mark.parametrize(
    ("get", "reason"),
    [
        (lambda m: m.nameless, "a lambda has no name"),
        (lambda m: m.outer(), "inside another function"),
        (lambda m: m.Tools().method, "bound to an object"),
        (lambda m: m.asynchronous, "is async"),
        (lambda m: m.async_generator, "is async"),
        (lambda m: m.generator, "is a generator"),
        (lambda m: m.covered, "is not what its module has under the name 'plain'"),
        (lambda m: functools.partial(m.plain), "no name of its own"),
        (lambda m: m.Tools(), "no module and name"),
        (lambda m: "sample_functions.plain", "is not callable"),
        (lambda m: None, "is not callable"),
    ],
)
def test_a_function_that_no_worker_can_find_is_refused_with_the_reason(module, get, reason):
    with pytest.raises(FunctionNotImportable, match=reason) as caught:
        function_import.describe(get(module))

    assert isinstance(caught.value, InvalidJob)
    assert isinstance(caught.value, TypeError)


def test_a_function_of_a_module_that_cannot_be_imported_is_refused():
    namespace = {"__name__": "made_by_exec"}
    exec("def f(): pass", namespace)

    with pytest.raises(FunctionNotImportable, match="'made_by_exec', which cannot be imported"):
        function_import.describe(namespace["f"])


def test_a_function_of_the_prompt_is_refused(monkeypatch):
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec("def f(): pass", main.__dict__)

    with pytest.raises(FunctionNotImportable, match="interactive prompt"):
        function_import.describe(main.f)


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "beside_the_script", raising=False)
    path = tmp_path / "a_script.py"
    path.write_text(
        textwrap.dedent(
            """
            import beside_the_script
            loads = []
            if __name__ == "__main__":
                raise AssertionError("guarded")
            def f(): return __name__, beside_the_script.VALUE
            loads.append(1)
            """
        )
    )
    (tmp_path / "beside_the_script.py").write_text("VALUE = 7")
    return path


def test_a_script_is_loaded_once_without_what_its_guard_protects(script):
    ref = FunctionRef("__main__", "f", str(script))
    f = function_import.load(ref)

    assert f() == ("__main__", 7)
    assert function_import.load(ref) is f


def test_a_job_of_a_loaded_script_can_submit_functions_of_that_script(script):
    ref = FunctionRef("__main__", "f", str(script))
    f = function_import.load(ref)
    sys.modules["__mp_main__"] = types.ModuleType("another script loaded later")

    assert function_import.describe(f) == ref


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        (FunctionRef("no_such_module_here", "f"), "no module 'no_such_module_here'"),
        (FunctionRef("sample_functions", "gone"), "has no function 'gone'; was it renamed"),
        (FunctionRef("__main__", "gone"), "has no function 'gone'; a script submitted the job"),
        (FunctionRef("sample_functions", "not_callable"), "is not a function"),
        (FunctionRef("sample_functions", "os.system"), "has no function 'os.system'"),
        (FunctionRef("__main__", "f", "/missing/script.py"), "no script /missing/script.py"),
    ],
)
def test_a_function_that_is_not_there_is_named(module, ref, reason):
    with pytest.raises(FunctionNotFound, match=reason):
        function_import.load(ref)


def test_a_missing_import_inside_the_module_is_not_mistaken_for_a_missing_module(
    tmp_path, monkeypatch
):
    (tmp_path / "needs_more.py").write_text("import not_installed_here\ndef f(): pass")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="not_installed_here"):
        function_import.load(FunctionRef("needs_more", "f"))


def test_a_reference_is_read_from_text(tmp_path):
    assert function_import.parse("pkg.mod:C.f") == FunctionRef("pkg.mod", "C.f")
    assert function_import.parse("pkg.mod.f") == FunctionRef("pkg.mod", "f")
    assert function_import.parse("/x/y.py:f") == FunctionRef("__main__", "f", "/x/y.py")
    with pytest.raises(FunctionNotFound, match="names no function"):
        function_import.parse("f")


def test_a_function_that_was_found_before_is_looked_at_again(module, monkeypatch):
    first = function_import.find(module.__name__, "plain")
    again = function_import.find(module.__name__, "plain")
    monkeypatch.setattr(module, "plain", module.tasked)
    replaced = function_import.find(module.__name__, "plain")
    monkeypatch.delattr(module, "plain")

    assert first is again
    assert replaced is module.tasked
    with pytest.raises(FunctionNotFound):
        function_import.find(module.__name__, "plain")


def test_a_function_of_a_module_that_was_imported_anew_is_the_new_one(module, monkeypatch):
    old = function_import.find(module.__name__, "plain")
    new = types.ModuleType(module.__name__)
    new.plain = lambda: "new"
    monkeypatch.setitem(sys.modules, module.__name__, new)

    assert function_import.find(module.__name__, "plain") is new.plain is not old


def test_a_dotted_name_and_one_in_a_script_are_found_every_time(module, script):
    for _ in range(2):
        assert function_import.find(module.__name__, "Tools.static")() == "static"
        assert function_import.find(str(script), "f")() == ("__main__", 7)
