"""No process is taken for a descendant because it was given the number of one."""

import os
import subprocess
import sys

import pytest

ROUNDS = 30


@pytest.mark.fault("S6")
@pytest.mark.parametrize("case", ["child", "parent"])
def test_a_process_with_a_number_that_was_given_away_again_is_no_descendant(case):
    apart = ["unshare", "--pid", "--fork", "--mount-proc"]
    if os.geteuid() != 0:
        apart += ["--user", "--map-root-user"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("this account may not make a pid namespace")

    command = [*apart, sys.executable, "-m", "support.reused_numbers", case, str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="tests", timeout=100)

    if done.returncode == 77:
        pytest.skip("this kernel does not let the next process id be chosen")
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr
