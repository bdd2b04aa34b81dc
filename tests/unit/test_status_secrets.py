"""A password in an error text is masked in answers and for systemd, as it is in the log."""

import json
import socket

import pytest

from gigq.model.url_passwords import mask_passwords
from gigqd.host.daemonize import Readiness
from gigqd.ipc.control_clients import Clients
from gigqd.supervisor.daemon_status import DaemonStatus

TEXT = "OperationalError: postgresql://amy:hunter2@db/jobs is away"
MASKED = "OperationalError: postgresql://amy:***@db/jobs is away"


def test_every_answer_on_the_control_socket_is_masked():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client, _ = Clients().admit(ours, 0)
        client.answer(
            {
                "recent_failures": [{"error": TEXT}],
                "reason": TEXT,
                "open_breakers": (TEXT, 1),
                "n": 2,
            }
        )

        answer = json.loads(theirs.recv(4096))

    expected = {
        "recent_failures": [{"error": MASKED}],
        "reason": MASKED,
        "open_breakers": [MASKED, 1],
        "n": 2,
    }
    assert answer == expected


def test_the_reason_of_a_degraded_daemon_is_masked_wherever_it_is_shown():
    facts = DaemonStatus.__new__(DaemonStatus)
    facts.database_error = None

    assert facts.note_database_error(TEXT)
    assert facts.database_error == MASKED
    assert not facts.note_database_error(TEXT)


def test_what_a_failed_start_says_is_masked():
    reader, writer = socket.socketpair()
    with reader:
        Readiness(writer.detach()).failed(70, TEXT)

        assert json.loads(reader.recv(4096)) == {"code": 70, "text": MASKED}


def test_passwords_in_the_options_of_an_address_are_masked():
    direct = "direct=postgresql%3A%2F%2Famy%3Ahunter2%40pg%2Fjobs"
    text = f"postgresql://db/jobs?password=hunter2&sslpassword=hunter2&{direct}&user=amy is away"

    masked = mask_passwords(text)
    assert "hunter2" not in masked
    assert masked.endswith("direct=postgresql%3A%2F%2Famy%3A***%40pg%2Fjobs&user=amy is away")


def test_what_is_no_text_stays_as_it_is():
    urls = ["http://example.org/x@y", "http://localhost:8000/to?a@b", "postgresql://amy@db/jobs"]
    kept = {"a": [1, 2.5, None, True, *urls], "b": {}}

    assert mask_passwords(kept) == kept


@pytest.mark.parametrize("password", ["p@ss@word", "t" * 2000, "a:b:c", "pa/ss"])
def test_a_password_is_masked_whole(password):
    assert (
        mask_passwords(f"postgresql://amy:{password}@db/jobs is away") == MASKED.partition(": ")[2]
    )


def test_a_token_in_the_place_of_a_name_is_masked():
    assert mask_passwords("https://ghp_secret@host/x failed") == "https://***@host/x failed"
