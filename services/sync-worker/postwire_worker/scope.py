"""Which mailboxes an account's setting names, and what each is for.

The server says what a mailbox is for where it has RFC 6154; else its name does, in the languages
that mail programs create such mailboxes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from postwire_worker.answers import Listed

#: What is synced where the setting names nothing.
DEFAULT = ("INBOX", "\\Sent")
ALL = "*"

#: RFC 6154 §2 and RFC 8457, by the name in lower case.
_USES = {
    use.lower(): use
    for use in (
        *("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Important"),
        *("\\Junk", "\\Sent", "\\Trash"),
    )
}
#: Leaf names in lower case: en, de, fr, es, it, pt, nl, sv, pl, ja, zh; the commonest first.
_NAMES: dict[str, tuple[str, ...]] = {
    "\\Sent": (
        *("sent", "sent mail", "sent items", "sent messages", "sent-mail"),
        *("gesendet", "gesendete elemente", "gesendete objekte", "gesendete nachrichten"),
        *("envoyés", "éléments envoyés", "messages envoyés", "objets envoyés", "envoyes"),
        *("enviados", "elementos enviados", "mensajes enviados", "correo enviado"),
        *("posta inviata", "inviati", "inviata", "posta inviati"),
        *("itens enviados", "mensagens enviadas", "e-mails enviados", "enviadas"),
        *("verzonden", "verzonden items", "verzonden berichten"),
        *("skickat", "skickade objekt", "skickade meddelanden", "skickade"),
        *("wysłane", "elementy wysłane", "wyslane"),
        *("送信済み", "送信済みアイテム", "送信済みメール", "送信済みトレイ"),
        *("已发送", "已发送邮件", "已傳送", "寄件備份", "已发邮件", "已傳送郵件"),
    ),
    "\\Drafts": (
        *("drafts", "draft"),
        *("entwürfe", "entwurf", "entwuerfe"),
        *("brouillons", "brouillon"),
        *("borradores", "borrador"),
        *("bozze", "bozza"),
        *("rascunhos", "rascunho"),
        *("concepten", "concept"),
        *("utkast",),
        *("szkice", "kopie robocze", "wersje robocze"),
        *("下書き", "草稿"),
        *("草稿箱", "草稿夹", "草稿匣"),
    ),
    "\\Trash": (
        *("trash", "deleted items", "deleted messages", "deleted", "bin"),
        *("papierkorb", "gelöschte elemente", "gelöschte objekte", "gelöscht"),
        *("corbeille", "éléments supprimés", "messages supprimés"),
        *("papelera", "elementos eliminados"),
        *("cestino", "posta eliminata"),
        *("lixo", "lixeira", "itens excluídos", "itens eliminados"),
        *("prullenbak", "verwijderde items"),
        *("papperskorgen", "borttaget", "borttagna objekt"),
        *("kosz", "elementy usunięte"),
        *("ゴミ箱", "ごみ箱", "削除済みアイテム"),
        *("已删除", "已删除邮件", "垃圾桶", "刪除的郵件", "已刪除的郵件"),
    ),
    "\\Junk": (
        *("junk", "spam", "junk e-mail", "junk email", "bulk mail", "bulk"),
        *("junk-e-mail", "spamverdacht", "unerwünscht", "werbung"),
        *("courrier indésirable", "indésirables", "pourriel"),
        *("correo no deseado", "no deseado"),
        *("posta indesiderata", "indesiderata"),
        *("lixo eletrônico", "lixo eletrónico"),
        *("ongewenste e-mail", "ongewenst"),
        *("skräppost", "skräp"),
        *("wiadomości-śmieci", "niechciane"),
        *("迷惑メール",),
        *("垃圾邮件", "垃圾郵件", "垃圾箱", "广告邮件"),
    ),
    "\\Archive": (
        *("archive", "archives"),
        *("archiv",),
        *("archivés",),
        *("archivo", "archivados"),
        *("archivio", "archiviati"),
        *("arquivo", "arquivos", "arquivo morto"),
        *("archief",),
        *("arkiv", "arkiverat"),
        *("archiwum",),
        *("アーカイブ",),
        *("归档", "存档", "封存", "已归档"),
    ),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mailbox that is to be synced, and what it is for."""

    listed: Listed
    special_use: str | None
    #: Never opened: the mailbox with all mail tells what lies in it.
    label: bool = False


def choose(setting: Sequence[str] | None, listed: Sequence[Listed]) -> list[Wanted]:
    """The mailboxes that `setting` names, INBOX first, then as the server lists them."""
    terms = {_folded(term) for term in (DEFAULT if setting is None else setting)}
    uses = special_uses(listed)
    chosen = [
        Wanted(one, uses.get(one.name))
        for one in listed
        if ALL in terms
        or _folded(one.name) in terms
        or (uses.get(one.name) or "").lower() in terms
        or any(attribute in terms for attribute in one.attributes & set(_USES))
    ]
    return sorted(chosen, key=lambda wanted: wanted.listed.name.upper() != "INBOX")


def as_labels(wanted: Sequence[Wanted]) -> list[Wanted]:
    r"""As Gmail has it: with \All wanted, it tells of all the others but for Spam and Trash.

    What is opened comes first, All Mail before all else.
    """
    whole = next((one for one in wanted if "\\all" in one.listed.attributes), None)
    if whole is None:
        return list(wanted)
    opened = [one for one in wanted if one.listed.attributes & {"\\junk", "\\trash"}]
    others = [one for one in wanted if one is not whole and one not in opened]
    return [whole, *opened, *(replace(one, label=True) for one in others)]


def special_uses(listed: Sequence[Listed]) -> dict[str, str]:
    """What mailboxes are for, by name: as the server says, else one each by its leaf name."""
    said = {
        one.name: _USES[attribute]
        for one in listed
        for attribute in sorted(one.attributes & set(_USES), reverse=True)
    }
    guessed = {
        found: use
        for use, names in _NAMES.items()
        if use not in said.values() and (found := _first(names, listed, said))
    }
    return guessed | said


def _first(names: Sequence[str], listed: Iterable[Listed], taken: dict[str, str]) -> str | None:
    ranked = [
        (names.index(leaf), len(one.name), one.name)
        for one in listed
        if (leaf := _leaf(one)) in names and one.name not in taken and one.name.upper() != "INBOX"
    ]
    return min(ranked)[2] if ranked else None


def _leaf(listed: Listed) -> str:
    name = listed.name.rsplit(listed.delimiter, 1)[-1] if listed.delimiter else listed.name
    return name.strip().lower()


def _folded(term: str) -> str:
    # Names are case-sensitive but for INBOX (RFC 3501 §5.1); special uses are not.
    return term.upper() if term.upper() == "INBOX" else _lower_use(term)


def _lower_use(term: str) -> str:
    return term.lower() if term.startswith("\\") else term
