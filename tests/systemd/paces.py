"""Run inside the booted container: start, submit, reload, kill, stop; says what it sees.

Prints a transcript and exits with 0 only when everything was as it must be.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/srv/app")

import app

from gigq import JobQueue

CONFIG = Path("/etc/gigq.toml")
RUNTIME = Path("/var/lib/gigq/gigq.db.gigqd")
DATABASE = "/var/lib/gigq/gigq.db"
DROP_IN = Path("/etc/systemd/system/gigqd.service.d/often.conf")
failures: list[str] = []


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(command: str) -> subprocess.CompletedProcess[str]:
    say(f"\n$ {command}")
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    for line in (done.stdout + done.stderr).splitlines():
        say(f"  {line}")
    if done.returncode:
        say(f"  (exit {done.returncode})")
    return done


def must(what: str, holds: object) -> None:
    say(f"  {'ok  ' if holds else 'FAIL'} {what}")
    if not holds:
        failures.append(what)


def wait_until(condition, within: float = 20.0) -> object:
    end = time.monotonic() + within
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


def unit(name: str) -> str:
    show = ["systemctl", "show", "gigqd", f"--property={name}", "--value"]
    return subprocess.run(show, capture_output=True, text=True).stdout.strip()


def status() -> dict:
    command = ["/opt/gigqd/bin/gigqd", "--config", str(CONFIG), "status", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout or "{}")


def workers() -> list[dict]:
    return [slot for slot in status().get("slots", []) if slot["role"] == "worker"]


def journal(*options: str) -> str:
    command = ["journalctl", "-u", "gigqd", "--no-pager", "-o", "cat", *" ".join(options).split()]
    return subprocess.run(command, capture_output=True, text=True).stdout


def submit(function, **options) -> str:
    # As the service's own user: the database belongs to it.
    params = json.dumps(options.pop("params", {}))
    program = (
        "import sys, json; sys.path.insert(0, '/srv/app'); import app;"
        "from gigq import Job, JobQueue;"
        f"print(JobQueue({DATABASE!r}).submit(Job('job', app.{function.__name__},"
        f" params=json.loads({params!r}), **{options!r})))"
    )
    command = ["setpriv", "--reuid=gigqd", "--regid=gigqd", "--clear-groups", sys.executable]
    return subprocess.run(
        [*command, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    ).stdout.strip()


def job(job_id: str) -> dict:
    return JobQueue(DATABASE).get_status(job_id)


def state(job_id: str) -> str:
    return getattr(job(job_id)["status"], "value", job(job_id)["status"])


def children_linger() -> bool:
    return any("sleep 3600" in line for line in in_unit())


def unit_pids() -> set[int]:
    first_words = [line.split("─")[-1].split()[0] for line in in_unit()]
    return {int(word) for word in first_words if word.isdigit()}


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def in_unit() -> list[str]:
    tree = subprocess.run(
        ["systemctl", "status", "gigqd", "--no-pager", "--lines=0"], capture_output=True, text=True
    ).stdout
    return [line.strip() for line in tree.splitlines() if "─" in line]


say("\n## Started by systemd")
wait_until(lambda: unit("ActiveState") in ("active", "failed"), 60)
run("systemctl status gigqd --no-pager --lines=0")
must("the unit is active", unit("ActiveState") == "active")
must("status text comes from the daemon", "running" in unit("StatusText"))
must("systemd watches it", unit("WatchdogUSec") == "1min")
run("/opt/gigqd/bin/gigqd status")
as_the_account = "setpriv --reuid=gigqd --regid=gigqd --clear-groups"
for word in ("status", "reload"):
    done = run(f"{as_the_account} /opt/gigqd/bin/gigqd --config /etc/gigq.toml {word}")
    must(f"its account reaches it too: {word}", done.returncode == 0)
run("stat -c '%A %U %n' /var/lib/gigq /var/lib/gigq/* /var/lib/gigq/gigq.db.gigqd/*")

say("\n## What the wheel has put beside the commands")
os.environ["PATH"] = f"/opt/gigqd/bin:{os.environ['PATH']}"
done = run("man --where gigq gigqd")
must("their manual pages are found", done.stdout.count("/opt/gigqd/share/man/man1/gigq") == 2)
done = run("bash -c '. /opt/gigqd/share/bash-completion/completions/gigqd && complete -p gigqd'")
must("bash takes the completion", done.returncode == 0)

say("\n## A job")
job_id = submit(app.whoami)
must("it completes", wait_until(lambda: state(job_id) == "completed"))
say(f"  result: {job(job_id)['result']}")
must(
    "it runs as gigqd and sees no variable of the service manager",
    not job(job_id)["result"]["leaked"],
)

say("\n## A job that overruns, with a child in a session of its own")
began = time.monotonic()
job_id = submit(app.family, timeout=1, max_attempts=1)
must("it ends as a timeout", wait_until(lambda: state(job_id) == "timeout"))
say(f"  after {time.monotonic() - began:.1f} s (timeout 1 s, grace 2 s)")
must("its child is gone", wait_until(lambda: not children_linger(), 2))

say("\n## A reload from 2 to 4 workers")
before = unit("MainPID")
CONFIG.write_text(CONFIG.read_text().replace("size = 2", "size = 4"))
done = run("systemctl reload gigqd")
must("it succeeds", done.returncode == 0)
must("there are 4 workers", wait_until(lambda: len(workers()) == 4))
must("the supervisor is the same", unit("MainPID") == before)

say("\n## A reload with a broken file")
good = CONFIG.read_text()
CONFIG.write_text(good.replace("size = 4", "sise = 4"))
done = run("systemctl reload gigqd")
must("it fails", done.returncode != 0)
run("journalctl -u gigqd --no-pager -o cat -n 4")
must(
    "the unit is still active with 4 workers",
    unit("ActiveState") == "active" and len(workers()) == 4,
)
CONFIG.write_text(good)

say("\n## The journal knows what is an error")
errors = journal("-p err")
must("the refused reload is one", "unknown key" in errors)
must("an ordinary line is none", "daemon_ready" in journal() and "daemon_ready" not in errors)
job_id = submit(app.family, timeout=1, max_attempts=1)
wait_until(lambda: state(job_id) == "timeout")
must("a job that failed is in the warnings", job_id in journal("-p warning"))

say("\n## Nothing of the machine's is within reach")
job_id = submit(app.reach)
wait_until(lambda: state(job_id) == "completed")
say(f"  result: {job(job_id)['result']}")
must("chown(2) is refused, other accounts have no numbers", job(job_id)["result"] == app.CONFINED)

say("\n## kill -9 of the supervisor while a job with a child runs")
job_id = waiting = submit(app.family, timeout=600, max_attempts=6)
wait_until(lambda: state(job_id) == "running")
wait_until(children_linger)
old = unit_pids()
run("systemctl kill --kill-whom=main --signal=KILL gigqd")
began = time.monotonic()
must("every process of the old run is gone", wait_until(lambda: gone(old)))
say(f"  {len(old)} processes gone {time.monotonic() - began:.2f} s after the kill")
must(
    "systemd starts it again",
    wait_until(lambda: unit("MainPID") not in ("0", before) and unit("ActiveState") == "active"),
)
say(f"  active again {time.monotonic() - began:.2f} s after the kill (RestartSec=5)")
must(
    "the lost execution is settled and the job runs again",
    wait_until(lambda: len(job(job_id)["executions"]) == 2),
)
for execution in job(job_id)["executions"]:
    say(f"  execution: {execution['status']} {execution.get('cause') or ''}")
must("one restart is counted", unit("NRestarts") == "1")

say("\n## A stop while that job runs")
began = time.monotonic()
done = run("systemctl stop gigqd")
say(f"  took {time.monotonic() - began:.1f} s (stop_timeout 5 s)")
must("it succeeds", done.returncode == 0 and unit("Result") == "success")
must("nothing of it is left", not in_unit())
must("the socket is gone", not (RUNTIME / "gigqd.sock").exists())
must("the job was released", wait_until(lambda: state(job_id) == "pending", 2))
run("systemctl status gigqd --no-pager --lines=0")

say("\n## A night of failed starts")
DROP_IN.parent.mkdir()
DROP_IN.write_text("[Service]\nRestartSec=100ms\n")
run("systemctl daemon-reload")
CONFIG.write_text(good.replace('start_timeout = "1m"', 'start_timeout = "1s"'))
owner = Path(DATABASE).stat()
os.chown(DATABASE, 0, 0)
run("systemctl start gigqd")
must("it is tried again and again", wait_until(lambda: int(unit("NRestarts")) >= 15, 120))
say(f"  {unit('NRestarts')} starts have failed")
must("the journal says why", "start_failed" in journal("-p err"))
run("journalctl -u gigqd --no-pager -o cat -p err -n 2")
os.chown(DATABASE, owner.st_uid, owner.st_gid)
must("it comes back by itself", wait_until(lambda: unit("ActiveState") == "active", 60))
must("the job of before runs again", wait_until(lambda: state(waiting) == "running"))
run("systemctl stop gigqd")
done = run("systemctl start gigqd")
must("a manual start is not refused for the night before", done.returncode == 0)
run("systemctl stop gigqd")
DROP_IN.unlink()
CONFIG.write_text(good)
run("systemctl daemon-reload")

say("\n## A database outside of /var/lib/gigq")
Path("/srv/shop").mkdir()
shutil.chown("/srv/shop", "gigqd", "gigqd")
CONFIG.write_text(good.replace(DATABASE, "/srv/shop/jobs.db"))
run("cd / && /opt/gigqd/bin/gigqd systemd unit > /etc/systemd/system/gigqd.service")
run("grep ReadWritePaths= /etc/systemd/system/gigqd.service; systemctl daemon-reload")
done = run("systemctl start gigqd")
must("the printed unit may write there", done.returncode == 0)
must("the queue is there", Path("/srv/shop/jobs.db").is_file())
run("systemctl stop gigqd")

say("\n## A wrong configuration at the start")
CONFIG.write_text(good.replace("size = 4", 'size = "many"'))
done = run("systemctl start gigqd")
must(
    "it fails with 78 and is not tried again",
    done.returncode != 0 and unit("ExecMainStatus") == "78" and unit("NRestarts") == "0",
)
run("journalctl -u gigqd --no-pager -o cat -n 5")

say(f"\n## {'All as it must be' if not failures else 'NOT as it must be: ' + '; '.join(failures)}")
sys.exit(bool(failures))
