"""The account that the daemon becomes, and the files that it gives to it before."""

import os
import pwd

import pytest
from support.configs import config_in
from support.files import open_up
from support.forked import in_a_child

from gigqd import exit_codes
from gigqd.host.privileges import Account, NotPermitted, become, drop_privileges, find_account
from gigqd.host.runtime_files import RuntimeFiles

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")
USER = "nobody"
NOBODY_UID = 65534


@pytest.fixture(autouse=True)
def code_that_everybody_may_read(monkeypatch):
    """The interpreter of the tests may lie in a folder that only root may read."""
    monkeypatch.setattr("gigqd.host.privileges._OWN_CODE", ())


def test_without_user_and_group_nothing_is_to_change(tmp_path):
    config = config_in(tmp_path)

    assert find_account(None, None) is None
    become(config, RuntimeFiles(config))
    assert not (tmp_path / "run").exists()


def test_an_unknown_account_is_named():
    with pytest.raises(NotPermitted, match="no-such-user"):
        find_account("no-such-user", None)
    with pytest.raises(NotPermitted, match="no-such-group") as caught:
        find_account(None, "no-such-group")

    assert caught.value.exit_code == exit_codes.NOT_PERMITTED


def test_a_group_alone_keeps_the_user():
    me = pwd.getpwuid(os.geteuid())

    assert find_account(me.pw_name, None) == Account(me.pw_name, me.pw_uid, me.pw_gid)


@pytest.mark.root
@needs_root
def test_there_is_no_way_back_and_no_group_of_roots_is_kept():
    account = find_account(USER, None)

    def become_nobody():
        os.setgroups([0, 4711])
        drop_privileges(account)
        with pytest.raises(PermissionError):
            os.setuid(0)
        return os.getresuid(), os.getresgid(), os.getgroups()

    assert in_a_child(become_nobody) == str(((NOBODY_UID,) * 3, (account.gid,) * 3, [account.gid]))


@pytest.mark.root
@needs_root
def test_a_process_that_changed_its_user_can_still_be_looked_at_by_that_user():
    account = find_account(USER, None)

    def look_at_itself():
        drop_privileges(account)
        return os.access(f"/proc/{os.getpid()}/environ", os.R_OK)

    assert in_a_child(look_at_itself) == "True"


@pytest.mark.root
@needs_root
def test_what_is_not_gigqds_own_is_not_handed_over(tmp_path):
    open_up(tmp_path)
    config = config_in(tmp_path, user=USER)
    runtime = tmp_path / "run"
    runtime.mkdir()
    (runtime / "something of another program").touch()
    (runtime / "gigqd.lock").touch()
    runtime_files = RuntimeFiles(config)

    said = in_a_child(lambda: become(config, runtime_files))

    assert said.startswith(f"NotPermitted: {USER} cannot write in {runtime}; change its owner")
    owners = {path.name: path.stat().st_uid for path in (tmp_path, *runtime.iterdir(), runtime)}
    assert set(owners.values()) == {0}


@pytest.mark.root
@needs_root
def test_a_new_database_folder_is_made_for_the_account(tmp_path):
    open_up(tmp_path)
    folder = tmp_path / "data"
    config = config_in(tmp_path, user=USER)
    config = config.replace(queue=config.queue.replace(database=str(folder / "jobs.db")))
    runtime_files = RuntimeFiles(config)

    assert in_a_child(lambda: become(config, runtime_files)) == "None"

    assert folder.stat().st_uid == NOBODY_UID
    assert (tmp_path / "run").stat().st_uid == NOBODY_UID


@pytest.mark.root
@needs_root
def test_code_that_the_account_may_not_read_is_named_at_once(tmp_path, monkeypatch):
    open_up(tmp_path)
    code = tmp_path / "code.py"
    code.touch(mode=0o600)
    monkeypatch.setattr("gigqd.host.privileges._OWN_CODE", (str(code),))
    config = config_in(tmp_path, user=USER)
    runtime_files = RuntimeFiles(config)

    said = in_a_child(lambda: become(config, runtime_files))

    assert said.startswith(f"NotPermitted: {USER} cannot read {code}; install gigqd where")


@pytest.mark.root
@needs_root
def test_the_environment_names_the_account_and_its_home(tmp_path):
    open_up(tmp_path)
    config = config_in(tmp_path, user=USER)
    config = config.replace(queue=config.queue.replace(database=str(tmp_path / "data" / "q.db")))
    runtime_files = RuntimeFiles(config)

    def become_nobody():
        become(config, runtime_files)
        return [os.environ[name] for name in ("HOME", "USER", "LOGNAME")]

    home = pwd.getpwnam(USER).pw_dir
    assert in_a_child(become_nobody) == str([home, USER, USER])
