"""What is secret, and what is mail, is where it belongs and in nothing else that was written."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import LiteralString
from urllib.parse import unquote, urlsplit

import httpx
import psycopg
import pytest
import redis
import socketio
from playwright.sync_api import Browser, expect

from support.dovecot import Dovecot
from support.fake_imap import Answer, Wire, fake_imap, mailbox
from support.mailbox import MailUser
from support.processes import eventually
from support.sso import CLIENT_SECRET, Sso
from support.system import System, run_system

#: Where each word of a letter is marked with this, none of it may be seen again.
MAIL = "canarymail"
#: A letter whose subject has this one cannot be stored, for the database refuses it.
UNSTORED = "canarymail-unstored"
#: What the database refuses of an account and of an attachment.
UNADDED = "canarymail-unadded@postwire.example"
#: What is typed by a person and is nobody's business.
TYPED = "canarytyped"
OWNER = "robin"
#: What is written of each thing that goes wrong here.
SIGNS = (
    "a request failed unexpectedly",
    "a sync failed for a reason nobody foresaw",
    "The mail server refused the user name or password.",
    "connect the account again",
    "a client does not speak Socket.IO",
)


@dataclass(slots=True)
class Written:
    """All that was written where somebody who has no business with it may look."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, text: str) -> None:
        """Keep what was written there, beside what was already."""
        self.texts[where] = f"{self.texts.get(where, '')}\n{text}"

    def find(self, word: str) -> list[str]:
        """Where `word` stands, and what around it."""
        return [
            f"{where}: …{text[max(0, at - 120) : at + 120]}…"
            for where, text in self.texts.items()
            if (at := text.find(word)) >= 0
        ]


def marked(subject: str = MAIL) -> bytes:
    """A letter of which every part is marked."""
    message = EmailMessage()
    message["From"] = f"{MAIL} sender <{MAIL}@northwind.example>"
    message["To"] = f"{MAIL} reader <reader-{MAIL}@postwire.example>"
    message["Subject"] = f"{subject} and more"
    message["Message-ID"] = f"<{MAIL}-{subject}@northwind.example>"
    message.set_content(f"{MAIL} plain text")
    message.add_alternative(f"<p>{MAIL} html text</p>", subtype="html")
    for name in (f"{MAIL}.txt", f"{UNSTORED}.txt"):
        message.add_attachment(f"{name} content".encode(), "text", "plain", filename=name)
    return message.as_bytes().replace(b"\n", b"\r\n")


@contextmanager
def listening(url: str, written: Written) -> Iterator[None]:
    """Keep what is said to Redis."""
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                written.add("what Redis was told", str(monitor.next_command()))

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield
        finally:
            over.set()
            client.ping()
            listener.join(10)


def refuse_what_is_unstored(database_url: str) -> None:
    """Make the database refuse rows, for it says the whole row in its error."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table, condition in {
            "message": f"subject NOT LIKE '%{UNSTORED}%'",
            "attachment_request": "n <> 2",
            "account": f"address <> '{UNADDED}'",
        }.items():
            connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT canary CHECK ({condition})")


def open_it_all(system: System, browser: Browser, written: Written) -> None:
    """What a person does with the letter in a browser."""
    page = browser.new_page()
    page.on("console", lambda message: written.add("the browser's console", message.text))
    page.goto(f"{system.api_url}/#token={system.token(OWNER)}")
    page.get_by_test_id("message-row").first.click()
    frame = page.frame_locator('[data-testid="message-frame"]')
    expect(frame.locator("p")).to_contain_text("html text")
    with page.expect_download():
        page.get_by_role("button", name=f"Save {MAIL}.txt").click()
    page.close()


def spoil_requests(system: System, account: str, written: Written) -> None:
    """Ask for what is refused, each in a way that quotes what was sent where nobody cares."""
    nowhere = {"host": "127.0.0.1", "port": 9, "security": "none"}
    with system.api(OWNER) as api:
        refused = [
            api.get("/api/search", params={"q": f"before:{TYPED}"}),
            api.get(f"/api/messages?cursor={TYPED}"),
            api.get(f"/api/messages/{TYPED}"),
            api.get("/api/messages", headers={"Authorization": f"Bearer {TYPED}.{TYPED}.x"}),
            api.post("/api/accounts", content=f'{{"address": "a@b.example", "password": "{TYPED}'),
            api.post("/api/accounts", json={"address": "a@b.example", "password": [TYPED]}),
            api.put(f"/api/accounts/{account}/credential", json={"password": {TYPED: TYPED}}),
            api.post("/api/accounts", json={"address": UNADDED, "password": TYPED, **nowhere}),
        ]
    assert [answer.status_code for answer in refused] == [400, 400, 404, 401, 400, 400, 400, 500]
    for answer in refused[3:]:
        written.add("answers of the API that refuse", f"{answer.headers} {answer.text}")


def spoil_sockets(system: System) -> None:
    """Say to the gateway what it does not take."""
    client = socketio.SimpleClient(logger=False, engineio_logger=False)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(system.gateway_url, auth={"token": f"{TYPED}.{TYPED}.x"})
    for body in (f"42{TYPED}", f'40{{"token":"{TYPED}'):
        opened = httpx.get(f"{system.gateway_url}/socket.io/?EIO=4&transport=polling").text
        sid = opened.partition('"sid":"')[2].partition('"')[0]
        url = f"{system.gateway_url}/socket.io/?EIO=4&transport=polling&sid={sid}"
        httpx.post(url, content=body)


def add(system: System, **given: object) -> httpx.Response:
    """Ask for an account."""
    with system.api(OWNER) as api:
        return api.post("/api/accounts", json=given)


def quoting(password: str) -> dict[str, Answer]:
    """A server that refuses the login and says of what."""

    def refuse(wire: Wire, tag: str) -> None:
        assert password in wire.server.lines[-1]
        said = wire.server.lines[-1].replace('"', "")
        wire.send(f"{tag} NO [AUTHENTICATIONFAILED] not {said}\r\n".encode())

    return {"LOGIN": refuse}


def babbling() -> dict[str, Answer]:
    """A server with one letter, of which it says what nobody can read."""
    garbage = f'* 1 FETCH (UID 1 BODYSTRUCTURE (("{MAIL}" ({MAIL}) {{9}}\r\n{MAIL}'
    return {
        **mailbox(uidnext=2),
        "UID SEARCH": b"* SEARCH 1\r\nTAG OK done\r\n",
        "UID FETCH": f"{garbage}\r\nTAG OK {MAIL}\r\n".encode(),
    }


def collect(system: System, logs: Path, database_url: str, written: Written) -> None:
    """What there is to look at in the end."""
    for log in logs.glob("*.log"):
        written.add(log.name, log.read_text())
    for service in system.services:
        written.add(f"metrics of {service.name}", system.metrics(service.name))
        health = httpx.get(f"http://127.0.0.1:{service.ops_port}/health/ready")
        written.add(f"health of {service.name}", health.text)
        command = Path(f"/proc/{service.process.pid}/cmdline").read_text()
        written.add(f"command of {service.name}", command)
    rows: dict[str, LiteralString] = {
        "job": "SELECT * FROM job",
        "attachment_request": "SELECT * FROM attachment_request",
        "set_aside": "SELECT error FROM set_aside",
        "account": "SELECT state, state_reason, host FROM account",
        "oauth_token": "SELECT * FROM oauth_token",
        "imap_connection": "SELECT * FROM imap_connection",
    }
    with psycopg.connect(database_url) as connection:
        for table, statement in rows.items():
            found = connection.execute(statement).fetchall()
            written.add(f"rows of {table}", str(found))


def secrets_of(system: System, dovecot: Dovecot, sso: Sso) -> dict[str, str]:
    """Everything that opens something, by what it is."""
    password = dovecot.password
    with system.api(OWNER) as api:
        realtime = api.post("/api/realtime-token").json()["token"]
    return {
        "the mailbox's password": password,
        "the password as SASL sends it": base64.b64encode(f"\0{password}".encode()).decode()[4:-4],
        "the database's password": unquote(urlsplit(system.setting("database_url")).password or ""),
        "Redis' password": unquote(urlsplit(system.setting("redis_url")).password or ""),
        "the secret of bearer tokens": system.jwt_secret,
        "the secret of realtime tokens": system.setting("realtime_secret"),
        "the credential key": system.setting("credential_keys").partition(":")[2],
        "a bearer token's signature": system.token(OWNER).rpartition(".")[2],
        # The head is every token's.
        "the head of all tokens": realtime.partition(".")[0],
        "the OAuth client's secret": CLIENT_SECRET,
        **{f"refresh token {n}": token for n, token in enumerate(sso.grants)},
        **{f"access token {n}": token for n, token in enumerate(sso.access)},
    }


@pytest.mark.timeout(180)
def test_nothing_secret_and_no_mail_is_written_where_it_does_not_belong(
    database_url: str,
    redis_url: str,
    oauth_dovecot: Dovecot,
    sso: Sso,
    browser: Browser,
    tmp_path: Path,
) -> None:
    written = Written()
    further = {
        "log_level": "DEBUG",
        "oauth_providers": sso.setting,
        "imap_ca_file": str(oauth_dovecot.ca_file),
    }
    with (
        run_system(database_url, redis_url, tmp_path, **further) as system,
        listening(redis_url, written),
        fake_imap(quoting(TYPED)) as quoter,
        fake_imap(babbling()) as babbler,
    ):
        # Given a mailbox by password and one by OAuth, each with a letter marked in every part
        user = MailUser(oauth_dovecot, oauth_dovecot.new_user())
        user.append(marked())
        account = system.add_account(user, OWNER)
        granter = MailUser(oauth_dovecot, oauth_dovecot.new_user())
        granter.append(marked())
        granted = sso.grant(granter.name)
        server = {"host": oauth_dovecot.host, "port": oauth_dovecot.tls_port, "security": "tls"}
        answer = add(
            system,
            address=granter.name,
            **server,
            oauth={"provider": "corp", "refreshToken": granted},
        )
        assert answer.status_code == 201, answer.text
        secret = secrets_of(system, oauth_dovecot, sso)

        # When all is read in a browser, and then goes wrong in every way that quotes something:
        open_it_all(system, browser, written)
        # requests that are refused, and rows that the database refuses,
        refuse_what_is_unstored(database_url)
        spoil_requests(system, account, written)
        spoil_sockets(system)
        with system.api(OWNER) as api:
            (read, *_) = api.get("/api/messages", params={"accountId": account}).json()["messages"]
            spoiled = api.get(f"/api/messages/{read['id']}/attachments/2")
            assert spoiled.status_code == 500, spoiled.text
            written.add("answers of the API that refuse", spoiled.text)
        user.append(marked(UNSTORED))
        # mail servers that repeat the password, or babble,
        for fake in (quoter, babbler):
            answer = add(
                system,
                address=f"a@{fake.port}.example",
                host=fake.host,
                port=fake.port,
                security="none",
                password=TYPED,
            )
            written.add("answers of the API that refuse", answer.text)
        # and a provider that names the refresh token it has withdrawn.
        sso.withdraw(granter.name)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE oauth_token SET access_token = NULL")
        granter.append(marked("canarymail-later"))

        def went_wrong() -> bool:
            collect(system, tmp_path, database_url, written)
            return all(map(written.find, SIGNS))

        # Then each went wrong indeed, and was written of
        assert eventually(went_wrong, 60), [sign for sign in SIGNS if not written.find(sign)]
        assert written.find(account)

    # And what was written to the end
    for log in tmp_path.glob("*.log"):
        written.add(log.name, log.read_text())
    # holds nothing secret and no mail
    found = {name: places for name, word in secret.items() if (places := written.find(word))}
    assert not found
    assert not [*written.find(MAIL), *written.find(TYPED)]
