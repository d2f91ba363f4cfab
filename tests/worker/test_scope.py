"""Which mailboxes a setting names, and what each is for."""

from __future__ import annotations

import pytest

from postwire_worker.answers import Listed
from postwire_worker.scope import as_labels, choose, special_uses


def listed(*names: str, **uses: str) -> list[Listed]:
    plain = [Listed(name, "/", frozenset()) for name in names]
    return plain + [Listed(name, "/", frozenset([use])) for name, use in uses.items()]


def chosen(setting: list[str] | None, mailboxes: list[Listed]) -> list[str]:
    return [one.listed.name for one in choose(setting, mailboxes)]


def test_without_a_setting_it_is_inbox_and_sent() -> None:
    assert chosen(None, listed("Archive", "Sent", "inbox")) == ["inbox", "Sent"]


def test_names_special_uses_and_all_can_be_mixed() -> None:
    mailboxes = listed("Work", "INBOX", "Spam", Ablage="\\archive")
    assert chosen(["\\ARCHIVE", "Work"], mailboxes) == ["Work", "Ablage"]
    assert chosen(["inbox", "\\Junk"], mailboxes) == ["INBOX", "Spam"]
    assert chosen(["*"], mailboxes) == ["INBOX", "Work", "Spam", "Ablage"]
    assert chosen([], mailboxes) == []


def test_a_name_is_taken_as_it_is_written() -> None:
    assert chosen(["work"], listed("INBOX", "Work")) == []


@pytest.mark.parametrize(
    ("use", "names"),
    [
        ("\\Sent", ("Sent,Gesendet,Éléments envoyés,Enviados,Posta inviata,Itens enviados,"
         "Verzonden,Skickat,Wysłane,送信済み,已发送")),
        ("\\Drafts", ("Drafts,Entwürfe,Brouillons,Borradores,Bozze,Rascunhos,Concepten,Utkast,"
         "Szkice,下書き,草稿箱")),
        ("\\Trash", ("Trash,Papierkorb,Corbeille,Papelera,Cestino,Lixeira,Prullenbak,"
         "Papperskorgen,Kosz,ゴミ箱,已删除")),
        ("\\Junk", ("Junk,Spamverdacht,Courrier indésirable,Correo no deseado,"
         "Posta indesiderata,Lixo eletrônico,Ongewenste e-mail,Skräppost,Wiadomości-śmieci,"
         "迷惑メール,垃圾邮件")),
        ("\\Archive", ("Archive,Archiv,Archives,Archivo,Archivio,Arquivo,Archief,Arkiv,Archiwum,"
         "アーカイブ,归档")),
    ],
)  # fmt: skip
def test_a_use_is_known_by_name_in_eleven_languages(use: str, names: str) -> None:
    for name in names.split(","):
        assert special_uses(listed("INBOX", f"INBOX/{name}")) == {f"INBOX/{name}": use}


def test_what_the_server_says_counts_more_than_a_name() -> None:
    # Given a mailbox called Sent, and another one that the server says is for what was sent
    mailboxes = listed("INBOX", "Sent", Postausgang="\\sent")
    # Then that one it is
    assert special_uses(mailboxes) == {"Postausgang": "\\Sent"}


def test_of_several_that_might_be_it_one_is_taken() -> None:
    assert special_uses(listed("Gesendet", "Sent", "Old/Sent")) == {"Sent": "\\Sent"}


def test_with_all_mail_wanted_the_others_are_labels_but_for_spam_and_trash() -> None:
    wanted = choose(["*"], listed("INBOX", "Work", Spam="\\junk", All="\\all", Bin="\\trash"))
    assert [(one.listed.name, one.label) for one in as_labels(wanted)] == [
        *[("All", False), ("Spam", False), ("Bin", False)],
        *[("INBOX", True), ("Work", True)],
    ]
    without = choose(None, listed("INBOX", "Work", All="\\all"))
    assert as_labels(without) == without
