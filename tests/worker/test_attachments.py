"""Attachments asked for, fetched from a real Dovecot and kept in a real PostgreSQL."""

from __future__ import annotations

import base64
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from worker.conftest import KEYS, Accounts
from worker.test_main import hanging
from worker.test_sync import run as run_sync
from worker.test_sync import stored

from postwire.jobs import enqueue_fetch
from postwire.model import Account, JobId, Message
from postwire.store import accounts, contents, jobs
from postwire.store.contents import Content, Failed, Wanted
from postwire.store.pool import transaction
from postwire_worker import actors, attachments
from postwire_worker.runtime import Runtime
from support.fake_imap import fake_imap
from support.mailbox import MailUser, letter
from support.processes import eventually
from support.service import process
from support.sso import Sso

LIMIT = 10 * 2**20


def ask(runtime: Runtime, message: Message, n: int = 1) -> Wanted:
    with transaction(runtime.pool) as connection:
        wanted = contents.get_wanted(connection, "owner", message.id, n)
        contents.ask(connection, wanted)
    return wanted


def found(runtime: Runtime, wanted: Wanted) -> Content | Failed | None:
    with transaction(runtime.pool) as connection:
        return contents.find(connection, wanted)


def fetched(runtime: Runtime, message: Message, n: int = 1, limit: int = LIMIT) -> bytes:
    """The bytes of an attachment, fetched now."""
    wanted = ask(runtime, message, n)
    attachments.run(runtime, wanted.account_id, limit)
    return kept(runtime, wanted)


def kept(runtime: Runtime, wanted: Wanted) -> bytes:
    content = found(runtime, wanted)
    assert isinstance(content, Content), content
    chunks = range(-(-content.size // contents.CHUNK))
    with transaction(runtime.pool) as connection:
        return b"".join(contents.read_chunk(connection, content, n) for n in chunks)


def given(runtime: Runtime, account: Account, user: MailUser, *letters: bytes) -> list[Message]:
    """The messages as they are stored, newest first."""
    user.append(*letters)
    run_sync(runtime, account)
    return stored(runtime, account)


def part(content_type: str, encoding: str, body: bytes) -> bytes:
    """A message with one attachment that is written in this way."""
    head = (
        "From: a@x.example\r\nSubject: parts\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\ntext\r\n--B\r\n"
        f"Content-Type: {content_type}; name=a.bin\r\nContent-Transfer-Encoding: {encoding}\r\n"
        "Content-Disposition: attachment\r\n\r\n"
    )
    return head.encode() + body + b"\r\n--B--\r\n"


def test_an_attachment_of_several_ranges_and_chunks_comes_as_it_was(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an attachment of three megabytes
    data = os.urandom(3 * 2**20 + 17)
    account = add_account.add(user)
    (message,) = given(runtime, account, user, letter(attachment=data))

    # Then what is fetched is what was attached
    assert fetched(runtime, message) == data


@pytest.mark.parametrize(
    ("encoding", "body", "meant"),
    [
        ("base64", base64.encodebytes(b"hello" * 40).replace(b"\n", b" \r\n"), b"hello" * 40),
        ("base64", b"SGVs!bG8=\r\nIHdvcmxk\r\n", b"Hello world"),
        ("quoted-printable", b"a=3Db=\r\nc \r\nd", b"a=bc\r\nd"),
        ("7bit", b"as it is", b"as it is"),
        ("8bit", b"\xff\xfe8", b"\xff\xfe8"),
        ("x-unheard-of", b"raw", b"raw"),
    ],
)
def test_each_transfer_encoding_is_undone(
    runtime: Runtime,
    add_account: Accounts,
    user: MailUser,
    encoding: str,
    body: bytes,
    meant: bytes,
) -> None:
    account = add_account.add(user)
    (message,) = given(runtime, account, user, part("application/x-thing", encoding, body))
    assert fetched(runtime, message) == meant


def test_a_message_in_a_message_and_a_winmail_dat_come_as_they_are(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a message with both
    inner = letter("inner", "inner text")
    outer = (
        b"Subject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
        b"--B\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n\r\n\x78\x9f\x3e\x22tnef"
        b"\r\n--B\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--B--\r\n"
    )
    account = add_account.add(user)
    (message,) = given(runtime, account, user, outer)

    # Then each is served as it is
    assert fetched(runtime, message, 1) == b"\x78\x9f\x3e\x22tnef"
    assert fetched(runtime, message, 2).rstrip() == inner.rstrip()


def test_the_same_bytes_in_two_messages_are_kept_once_and_go_with_the_account(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given two messages with the same attachment
    account = add_account.add(user)
    data = os.urandom(1000)
    messages = given(
        runtime, account, user, letter("a", attachment=data), letter("b", attachment=data)
    )
    # When both are fetched
    assert [fetched(runtime, message) for message in messages] == [data, data]
    # Then one content is kept
    with transaction(runtime.pool) as connection:
        counted = connection.execute("SELECT count(*) FROM content").fetchone()
        assert counted == (1,)
        # And when the account goes, nothing of it is left
        accounts.remove(connection, "owner", account.id)
        left = connection.execute("SELECT count(*) FROM content_chunk").fetchone()
        assert left == (0,)


def test_one_connection_fetches_all_that_is_asked_and_several_workers_fetch_each_once(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given six attachments that are asked for
    account = add_account.add(user)
    letters = [letter(f"{n}", attachment=b"%d" % n * 100) for n in range(6)]
    wanted = [ask(runtime, message) for message in given(runtime, account, user, *letters)]
    # When four workers are told at once
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: attachments.run(runtime, account.id, LIMIT), range(4)))
    # Then all are there, and nothing was written twice
    assert {kept(runtime, one) for one in wanted} == {b"%d" % n * 100 for n in range(6)}
    with transaction(runtime.pool) as connection:
        counted = connection.execute("SELECT count(*), max(id) - min(id) FROM content").fetchone()
    assert counted == (6, 5)


def test_a_message_that_was_moved_to_another_mailbox_is_found_by_no_wrong_number(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a message that is expunged after it was stored, and another that came
    account = add_account.add(user)
    (message,) = given(runtime, account, user, letter("gone", attachment=b"gone"))
    with user.session() as client:
        client.select_folder("INBOX")
        client.delete_messages([1])
        client.expunge()
    user.append(letter("other", attachment=b"other"))
    # When its attachment is asked for
    wanted = ask(runtime, message)
    attachments.run(runtime, account.id, LIMIT)
    # Then the answer is that it is gone
    failed = found(runtime, wanted)
    assert isinstance(failed, Failed)
    assert failed.failure == "gone"


@pytest.mark.parametrize("declared", ["base64", "8bit"])
def test_what_is_too_large_is_refused_in_words_and_leaves_nothing(
    runtime: Runtime, add_account: Accounts, user: MailUser, declared: str
) -> None:
    # Given an attachment beyond the limit
    account = add_account.add(user)
    body = base64.encodebytes(os.urandom(60_000)).replace(b"\n", b"\r\n")
    (message,) = given(runtime, account, user, part("application/x-thing", declared, body))
    wanted = ask(runtime, message)
    # When it is fetched with a limit that lies below what it decodes to
    attachments.run(runtime, account.id, 55_000)
    # Then it is refused, and nothing is left behind
    failed = found(runtime, wanted)
    assert isinstance(failed, Failed)
    assert failed.failure == "too_large"
    with transaction(runtime.pool) as connection:
        assert connection.execute("SELECT count(*) FROM content").fetchone() == (0,)


def test_a_part_of_a_message_whose_structure_was_not_trusted_is_served_from_the_whole(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given such a message
    account = add_account.add(user)
    (message,) = given(runtime, account, user, letter(attachment=b"from the whole"))
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE attachment SET section = 'whole:1'")
    # Then its attachment is served
    assert fetched(runtime, message) == b"from the whole"
    # And one that it does not have is an answer in words
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE attachment SET section = 'whole:2', hash = NULL")
    wanted = ask(runtime, message)
    attachments.run(runtime, account.id, LIMIT)
    assert isinstance(found(runtime, wanted), Failed)


def test_a_wrong_password_is_told_and_no_login_is_tried_again(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a message, and an account whose password changed at the server
    account = add_account.add(user)
    (message,) = given(runtime, account, user, letter(attachment=b"x"))
    with transaction(runtime.pool) as connection:
        sealed = runtime.keyring.seal(account.id, "wrong")
        connection.execute("UPDATE account SET credential = %s", [sealed])
    wanted = ask(runtime, message)
    # When its attachment is fetched
    attachments.run(runtime, account.id, LIMIT)
    # Then who waits is told why, and the account's state says so
    failed = found(runtime, wanted)
    assert isinstance(failed, Failed)
    assert failed.failure == "refused"
    assert add_account.get(account).state == "auth_failed"


def test_a_server_that_wants_to_be_left_alone_is_not_asked_for_attachments_either(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a message of an account whose server slows it down
    account = add_account.add(user)
    (message,) = given(runtime, account, user, letter(attachment=b"x"))
    said = b"TAG NO Suggested Backoff Time: 300000 milliseconds\r\n"
    with fake_imap({"EXAMINE": said}) as server:
        with transaction(runtime.pool) as connection:
            connection.execute("UPDATE account SET port = %s", [server.port])
        for _ in range(2):
            with transaction(runtime.pool) as connection:
                connection.execute(
                    "UPDATE attachment_request SET failed_at = now() - interval '1 minute'"
                )
            wanted = ask(runtime, message)
            # When its attachment is fetched, and asked for once more
            attachments.run(runtime, account.id, LIMIT)
            # Then who waits is told until when, and the server was asked once
            failed = found(runtime, wanted)
            assert isinstance(failed, Failed)
            assert failed.error == "The mail server asks to come back in 5 minutes."
            assert len(server.connected) == 1


def test_a_server_that_cannot_be_reached_is_told_of_and_asked_again_later(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a message of an account whose server does not answer any more
    account = add_account.add(user)
    (message,) = given(runtime, account, user, letter(attachment=b"x"))
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE account SET port = 1")
    wanted = ask(runtime, message)
    # When its attachment is fetched
    attachments.run(runtime, account.id, LIMIT)
    # Then the failure is one that passes
    failed = found(runtime, wanted)
    assert isinstance(failed, Failed)
    assert failed.failure == "transient"
    # And when the server is back, and a while has passed, it is fetched
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE account SET port = %s", [user.server.port])
        connection.execute("UPDATE attachment_request SET failed_at = now() - interval '1 minute'")
    assert fetched(runtime, message) == b"x"


def settings(runtime: Runtime, redis_url: str) -> dict[str, str]:
    """The settings of a process of its own."""
    return {
        "database_url": runtime.pool.conninfo,
        "redis_url": redis_url,
        "credential_keys": KEYS,
        "ops_host": "127.0.0.1",
        "ops_port": "0",
    }


def move_to(runtime: Runtime, port: int) -> None:
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE account SET port = %s", [port])


def held_until(runtime: Runtime) -> object:
    with transaction(runtime.pool) as connection:
        return connection.execute("SELECT max(held_until) FROM attachment_request").fetchone()


def test_what_was_asked_for_is_fetched_though_its_worker_was_killed_and_redis_wiped(
    runtime: Runtime, redis_url: str, add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given two attachments that are asked for, and a worker that waits for a server which has
    # fallen silent
    account = add_account.add(user)
    messages = given(
        runtime, account, user, letter("a", attachment=b"a"), letter("b", attachment=b"b")
    )
    wanted = [ask(runtime, message) for message in messages]
    given_ = settings(runtime, redis_url)
    there = threading.Event()
    with fake_imap({"EXAMINE": hanging(there)}) as server:
        move_to(runtime, server.port)
        with process("postwire_worker", given_, tmp_path) as worker:
            enqueue_fetch(runtime.broker, account.id)
            assert there.wait(20)
            # While it lived, it gave signs of life for the one that it fetched
            before = held_until(runtime)
            assert eventually(lambda: held_until(runtime) != before, 15)

            # When it is killed, and everything that was queued is lost
            worker.stop(signal.SIGKILL)
    runtime.redis.flushall()
    died = time.monotonic()
    move_to(runtime, user.server.port)

    # Then both are fetched by another one, though nobody asks again
    with (
        process("postwire_worker", given_, tmp_path),
        process("postwire_worker.watcher", given_, tmp_path),
    ):
        left = died + 35 - time.monotonic()
        assert eventually(
            lambda: all(isinstance(found(runtime, one), Content) for one in wanted), left
        )
    assert {kept(runtime, one) for one in wanted} == {b"a", b"b"}


def test_a_process_that_ends_leaves_what_it_fetched_to_another_at_once(
    runtime: Runtime, redis_url: str, add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given a worker that fetches, from a server which has fallen silent
    account = add_account.add(user)
    (message,) = given(runtime, account, user, letter(attachment=b"x"))
    wanted = ask(runtime, message)
    given_ = settings(runtime, redis_url)
    there = threading.Event()
    with fake_imap({"EXAMINE": hanging(there)}) as server:
        move_to(runtime, server.port)
        with process("postwire_worker", given_, tmp_path) as worker:
            enqueue_fetch(runtime.broker, account.id)
            assert there.wait(20)
            # When it is told to end
            assert worker.stop()[0] == 0
    # Then the request waits, and another worker needs no sweep to find it
    with transaction(runtime.pool) as connection:
        row = connection.execute("SELECT state, attempts FROM attachment_request").fetchone()
    assert row == ("waiting", 0)
    move_to(runtime, user.server.port)
    with process("postwire_worker", given_, tmp_path):
        assert eventually(lambda: isinstance(found(runtime, wanted), Content), 20)


def test_an_attachment_of_an_account_by_oauth_is_fetched(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    # Given a message that was synced by an access token, which has ended since
    account = oauth_accounts.add(granter, grant=sso.grant(granter.name))
    granter.append(letter(attachment=b"content"))
    actors.run(oauth_runtime, asked_for(oauth_runtime, account))
    (message,) = stored(oauth_runtime, account)
    sso.end_access(granter.name)
    # Then its attachment is fetched by the next
    assert fetched(oauth_runtime, message) == b"content"
    assert len(sso.asked) == 2


def asked_for(runtime: Runtime, account: Account) -> JobId:
    with transaction(runtime.pool) as connection:
        return jobs.ask(connection, account.id, account.user_id, "push").id
