"""What a job changes in its process is put back; what cannot be put back is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import fork_server
from support.tree import ROOT

from gigqd.config.value_types import LEAKS
from gigqd.worker.leaks.growth import GrowthCheck
from gigqd.worker.leaks.process_settings import merged

if TYPE_CHECKING:
    from pathlib import Path

_FAR_AWAY = 300  # a descriptor that no job closes

PROGRAM = """
import contextvars, faulthandler, gc, importlib, json, logging, os, resource, signal, socket
import subprocess, sys, tempfile, threading, time, warnings
from concurrent.futures import ThreadPoolExecutor
from gigqd.linux import syscalls as kernel
os.dup2(1, {fd}); null = os.open(os.devnull, os.O_WRONLY); os.dup2(null, 1); os.close(null)
from gigqd.worker.signal_wakeup import SignalWakeup
from gigqd.worker.leaks.check import LeakCheck
kept, stacks = [], tempfile.TemporaryFile()
ear = SignalWakeup(lambda *_: None, stacks.fileno())
check = LeakCheck(ear, {allowed!r})
check.follow_imports()
looks = []
for _ in range({times}):
    contextvars.copy_context().run(exec, {job!r}, globals())
    looks.append(check.restore())
answer = eval({answer!r})
for child in kernel.own_children():
    os.kill(child, signal.SIGKILL)
os.write({fd}, json.dumps([looks, answer]).encode())
os._exit(0)
"""


def after(
    job: str,
    *,
    times: int = 1,
    allowed: tuple[str, ...] = (),
    answer: str = "None",
    path: Path | None = None,
) -> tuple[list[tuple[dict[str, list[str]], dict[str, list[str]]]], Any]:
    """What the leak check of a process of its own finds after each run of a job."""
    program = PROGRAM.format(job=job, times=times, allowed=allowed, answer=answer, fd=_FAR_AWAY)
    if path:
        program = f"import sys; sys.path.insert(1, {str(path)!r})\n{program}"
    ran = fork_server.run("-c", [program], folder=ROOT, environment=os.environ)
    looks, answered = json.loads(ran.stdout)
    assert ran.returncode == 0
    return [(left, restored) for left, restored in looks], answered


RESTORED = [
    ("handlers", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", "the handler of SIGTERM"),
    ("handlers", "signal.set_wakeup_fd(-1)", "signal.set_wakeup_fd"),
    ("handlers", "faulthandler.disable()", "faulthandler.disable"),
    ("mask", "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])", "blocked signals {12}"),
    ("timers", "signal.setitimer(signal.ITIMER_VIRTUAL, 60)", "the timer ITIMER_VIRTUAL"),
    ("timers", "signal.alarm(60)", "the timer ITIMER_REAL"),
    ("directory", "os.chdir('/')", "the working directory '/'"),
    ("directory", "d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)", "the working directory ''"),
    ("umask", "os.umask(0o123)", "the umask 83"),
    ("environment", "os.environ['SHOP'] = 'secret'", "the environment variable SHOP"),
    ("environment", "del os.environ['PATH']", "the environment variable PATH"),
    ("environment", "os.environ = {}", "os.environ"),
    ("limits", ("resource.setrlimit(resource.RLIMIT_NOFILE, (99, "
     "resource.getrlimit(resource.RLIMIT_NOFILE)[1]))"), "the limit RLIMIT_NOFILE"),
    ("limits", ("import psutil; psutil.Process().rlimit(psutil.RLIMIT_NOFILE, (99, "
     "resource.getrlimit(resource.RLIMIT_NOFILE)[1]))"), "the limit RLIMIT_NOFILE"),
    ("locale", "import locale; locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')", None),
    ("path", "sys.path.insert(0, '/shop')", "the sys.path entry '/shop'"),
    ("path", "sys.path = ['/shop', *sys.path]", "the sys.path entry '/shop'"),
    ("streams", "sys.stdout = open('/dev/stdout', 'w')", "sys.stdout"),
    ("interpreter", "sys.setrecursionlimit(5000)", "sys.setrecursionlimit"),
    ("interpreter", "sys.setswitchinterval(0.5)", "sys.setswitchinterval"),
    ("interpreter", "sys.set_int_max_str_digits(0)", "sys.set_int_max_str_digits"),
    ("interpreter", "threading.settrace(print)", "threading.settrace"),
    ("interpreter", "threading.setprofile(print)", "threading.setprofile"),
    ("interpreter", "gc.disable()", "gc.disable"),
    ("interpreter", "gc.set_threshold(1)", "gc.set_threshold"),
    ("interpreter", "socket.setdefaulttimeout(1)", "socket.setdefaulttimeout"),
    ("interpreter", "sys.settrace(lambda *_: None)", "sys.settrace"),
    ("interpreter", "sys.argv.append('--fast')", "sys.argv with '--fast'"),
    ("warnings", "warnings.simplefilter('error', UserWarning)",
     "the warnings filter ('error', None, <class 'UserWarning'>, None, 0)"),
    ("warnings", "logging.captureWarnings(True)", "warnings.showwarning"),
    ("logging", "logging.disable(logging.CRITICAL)", "logging.disable 50"),
    ("hooks", "sys.excepthook = print", "sys.excepthook"),
    ("hooks", "threading.excepthook = print", "threading.excepthook"),
    ("hooks", "sys.unraisablehook = print", "sys.unraisablehook"),
    ("hooks", "sys.breakpointhook = print", "sys.breakpointhook"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "job", "detail"), RESTORED)
def test_what_a_job_changes_is_put_back(kind: str, job: str, detail: str | None) -> None:
    looks, as_before = after(
        f"{job}\nbefore = check._normal", answer="[read() for read in check._reads] == before"
    )

    ((left, restored),) = looks
    assert (left, list(restored)) == ({}, [kind])
    assert detail in (None, *restored[kind])
    assert "secret" not in str(restored)
    assert as_before


def test_a_timezone_is_put_back_for_c_code_too() -> None:
    job = "os.environ['TZ'] = 'Asia/Tokyo'; time.tzset(); del os.environ['TZ']"

    looks, zone = after(job, answer="time.timezone")

    assert looks[0] == ({}, {"environment": ["time.tzset"]})
    assert zone != -9 * 3600


def test_the_stacks_can_be_dumped_again_after_a_job_with_a_handler_of_its_own() -> None:
    job = "signal.signal(signal.SIGUSR1, lambda *_: None)"
    dump = "(os.kill(os.getpid(), signal.SIGUSR1), stacks.seek(0), stacks.read().decode())[2]"

    looks, dumped = after(job, times=2, answer=dump)

    assert looks == [({}, {"handlers": ["the handler of SIGUSR1"]})] * 2
    assert "most recent call first" in dumped


@pytest.mark.parametrize(
    ("kind", "job", "detail"),
    [
        ("threads", "threading.Thread(target=time.sleep, args=(60,)).start()",
         "that runs time.sleep"),
        ("threads", "kept.append(ThreadPoolExecutor(1)); kept[-1].submit(time.sleep, 60)",
         "that runs concurrent.futures.thread._worker"),
        ("children", "subprocess.Popen(['sleep', '60'])", "(sleep)"),
        ("children", ("subprocess.Popen([sys.executable, '-m', 'http.server', '0', '-b', "
         "'127.0.0.1'])"), "-m http.server)"),
        ("descriptors", ("kept.extend(open(os.devnull) for _ in range("
         "resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 4 // 5))"), "(/dev/null)"),
        ("descriptors", "os.closerange(3, 256)", "the worker itself"),
        ("streams", "sys.stdout.close(); sys.stdout = None", "sys.stdout (it is closed)"),
    ],
)  # fmt: skip
def test_what_cannot_be_put_back_is_left_and_named(kind: str, job: str, detail: str) -> None:
    prepare = "resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400)); check.accept()"

    looks, _ = after(f"{prepare}\n{job}")

    left, _ = looks[0]
    assert kind in left
    assert detail in " ".join(left[kind])
    assert "secret" not in str(left)


@pytest.mark.parametrize(
    ("kind", "job"),
    [
        ("limits", "resource.setrlimit(resource.RLIMIT_CPU, (9999, 9999))"),
        ("priority", "os.nice(1)"),
    ],
)
def test_what_only_root_can_put_back_is_put_back_or_left(kind: str, job: str) -> None:
    ((left, restored),), _ = after(job)

    assert kind in left or kind in restored


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its account")
def test_what_root_gives_up_for_a_moment_is_put_back_and_for_good_is_left() -> None:
    (moment,), _ = after("os.setegid(65534); os.seteuid(65534)")
    (for_good,), _ = after("os.setuid(65534)")

    assert moment == ({}, {"account": ["the effective user id", "the effective group id"]})
    assert "the effective user id" in for_good[0]["account"][0]


@pytest.mark.parametrize(
    "job",
    [
        "pass",
        "subprocess.run(['true'])",
        "kept.append(subprocess.Popen(['true']))",
        "thread = threading.Thread(target=int); thread.start()",
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "kept.append(ThreadPoolExecutor(1)); kept[-1].submit(int).result()",
        "kept.append([open(os.devnull) for _ in range(50)])",
        "os.environ['SHOP'] = 'open'; del os.environ['SHOP']",
        "os.fork() or (time.sleep(0.02), os._exit(0)); threading.Timer(0.02, os.wait).start()",
        (
            "from multiprocessing import shared_memory as s; "
            "m = s.SharedMemory(create=True, size=9); m.close(); m.unlink()"
        ),
    ],
)
def test_what_stays_once_or_is_gone_is_not_left(job: str) -> None:
    looks, _ = after(job)

    assert looks == [({}, {})]


@pytest.mark.parametrize(
    ("kind", "job", "detail"),
    [
        ("threads", ("[threading.Thread(target=time.sleep, args=(60,), daemon=True).start() "
         "for _ in range(9)]"), "the daemon thread"),
        ("descriptors", "kept.append([open(os.devnull) for _ in range(20)])", "(/dev/null)"),
    ],
)  # fmt: skip
def test_what_grows_with_every_job_is_left(kind: str, job: str, detail: str) -> None:
    looks, _ = after(job, times=3)

    assert looks[:2] == [({}, {})] * 2
    left, _ = looks[2]
    assert list(left) == [kind]
    assert detail in left[kind][0]


def test_a_file_that_each_job_leaks_is_named_and_nothing_else() -> None:
    looks, _ = after("kept.append(open(os.devnull))", times=40)

    (left, *_) = [left for left, _ in looks if left]
    assert all("(/dev/null)" in one for one in left["descriptors"])


def test_what_only_garbage_keeps_open_is_no_leak() -> None:
    job = "gc.freeze(); each = [open(os.devnull) for _ in range(40)]; each.append(each); del each"

    looks, _ = after(f"import warnings; warnings.simplefilter('ignore')\n{job}", times=4)

    assert [left for left, _ in looks] == [{}] * 4


def test_what_is_allowed_is_neither_put_back_nor_named() -> None:
    both = "os.environ['SHOP'] = 'open'; os.umask(0o123); subprocess.Popen(['sleep', '5'])"

    looks, shop = after(both, allowed=("environment", "children"), answer="os.environ.get('SHOP')")

    assert looks == [({}, {"umask": ["the umask 83"]})]
    assert shop == "open"


# --- imports ---------------------------------------------------------------------------------

MODULE = """
import decimal, os, sys, threading, time, warnings
os.environ["OF_MODULE"] = "1"
sys.path.append("/module")
sys.excepthook = print
decimal.getcontext().prec = 50
warnings.filterwarnings("ignore", "of module")
threading.Thread(target=time.sleep, args=(60,)).start()
"""


@pytest.mark.parametrize("statement", ["import shop", "importlib.import_module('shop')",
                                       "import package.shop"])  # fmt: skip
def test_what_changes_during_an_import_stays_and_what_the_job_changes_does_not(
    tmp_path: Path, statement: str
) -> None:
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "shop.py").write_text(MODULE)
    job = f"""
os.environ["BEFORE"] = "1"
sys.path.insert(0, "/job")
{statement}
import decimal
decimal.getcontext().prec = 3
os.environ["AFTER"] = "1"
"""
    answer = (
        "[[n in os.environ for n in ('OF_MODULE', 'BEFORE', 'AFTER')], sys.path[0], sys.path[-1],"
        " sys.excepthook is print, decimal.getcontext().prec, warnings.filters[0][0]]"
    )

    looks, found = after(job, answer=answer, path=tmp_path)

    environment = [f"the environment variable {name}" for name in ("AFTER", "BEFORE")]
    path = ["the sys.path entry '/job'"]
    assert looks == [({}, {"environment": environment, "path": path})]
    assert found == [[True, False, False], str(ROOT), "/module", True, 50, "ignore"] or found == [
        [True, False, False], "", "/module", True, 50, "ignore"
    ]  # fmt: skip


def test_the_thread_of_a_job_is_left_though_the_job_has_imported_something(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("")
    stay = "threading.Thread(target=time.sleep, args=(60,)).start()"

    looks, _ = after(f"{stay}\nsubprocess.Popen(['sleep', '5'])\nimport shop", path=tmp_path)

    assert sorted(looks[0][0]) == ["children", "threads"]


def test_an_import_that_fails_shows_no_line_of_the_watch(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    job = "import traceback\ntry: import broken\nexcept Exception: kept = traceback.format_exc()"

    _, shown = after(job, answer="kept", path=tmp_path)

    assert [line.split('"')[1] for line in shown.splitlines() if '"' in line] == [
        "<string>",
        str(tmp_path / "broken.py"),
    ]


def test_only_what_changed_during_an_import_is_applied() -> None:
    assert merged("a", "a", "b") == "b"
    assert merged("a", "x", "y") == "y"
    assert merged((1, 2), (8, 2), (8, 3)) == (1, 3)
    assert merged({1: 1}, {1: 1, 2: 2}, {1: 1, 2: 2, 3: 3}) == {1: 1, 3: 3}
    assert merged({1: 1, 2: 2}, {1: 1, 2: 2, 9: 9}, {2: 0, 9: 9}) == {2: 0}
    assert merged(["a"], ["job", "a"], ["first", "job", "a", "last"]) == ["first", "a", "last"]
    assert merged(["a", "b"], ["a", "b", "job"], ["a", "job"]) == ["a"]


# --- growth ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "leak_at"),
    [
        ([50, 50, 50, 50], None),
        ([50, 100, 150], 2),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 11),
        ([8, 12, 16, 18, 18, 18, 10, 18], None),
        ([0, 0, 900, 0, 905, 0, 905], None),
    ],
)
def test_a_count_that_rises_after_several_jobs_is_a_leak(
    counts: list[int], leak_at: int | None
) -> None:
    growth = GrowthCheck(spare=10)
    found = None
    for at, count in enumerate(counts):
        if found is None and growth.is_leak(count):
            found = at
        growth.note(count)

    assert found == leak_at


# --- names -----------------------------------------------------------------------------------


def test_every_kind_that_is_looked_at_can_be_allowed() -> None:
    program = (
        "import os; from gigqd.worker.signal_wakeup import SignalWakeup; "
        "from gigqd.worker.leaks.check import LeakCheck; "
        "c = LeakCheck(SignalWakeup(lambda *_: None, os.open(os.devnull, os.O_WRONLY))); "
        "print(*{one.kind for one in (*c._settings, *c._resources)})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert sorted(ran.stdout.split()) == sorted(LEAKS)


def test_what_is_not_as_before_once_it_was_put_back_costs_the_worker() -> None:
    job = "os.environ['TZ'] = 'XYZ-3'; time.tzset(); time.tzset = lambda: None"
    ((left, _),), _ = after(job)

    assert list(left) == ["environment"]
    assert set(left["environment"]) == {"time.tzset (it did not stay restored)"}


def test_an_import_in_the_middle_of_another_is_part_of_that_one(tmp_path: Path) -> None:
    (tmp_path / "outer_module.py").write_text("import inner_module\n")
    (tmp_path / "inner_module.py").write_text("")
    program = (
        "import sys; from gigqd.worker.leaks.import_watch import watch_imports\n"
        "watch_imports(lambda: print('begin'), lambda _: print('inner_module' in sys.modules))\n"
        "import outer_module"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert ran.stdout.split("\n") == ["begin", "True", ""]


def test_nothing_of_gigqd_loads_random_which_would_cost_each_job_a_seed() -> None:
    program = (
        "import sys, gigqd.supervisor.loop, gigqd.worker.worker, gigqd.recorder.recorder, "
        "gigqd.worker.preload; print(sorted({'random', 'decimal', 'tempfile'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert ran.stdout.strip() == "[]"
