"""File names of attachments, as they are shown and as they are saved.

A name is its sender's, and may be made to leave a folder, to hide its ending or to break a header.
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from urllib.parse import quote

#: Characters of the longest name; file systems take 255 bytes.
_LONGEST = 120
#: Characters of what counts as an ending, which is kept when a name is cut.
_ENDING = 12
#: What separates folders, and what Windows keeps for itself.
_UNFIT = re.compile(r'[/\\:*?"<>|]')
#: Where a name was a path: everything before its last part says nothing to another machine.
_FOLDERS = re.compile(r"\A(?:[A-Za-z]:[/\\]|[/\\]|\.\.?[/\\]).*[/\\]|\A[A-Za-z]:", re.DOTALL)
#: What Windows takes for a device, whatever its ending.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³])\s*(?:\.|\Z)", re.IGNORECASE)
#: Categories of Unicode that show nothing: controls, marks of direction, surrogates, private use.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
#: RFC 8187 §3.2.1, attr-char.
_ATTR = "!#$&+-.^_`|~"
#: Only what Python brings along: the machine's own table differs from machine to machine.
_TYPES = mimetypes.MimeTypes(filenames=())
_MESSAGE = "message/rfc822"
_ENDINGS = {
    _MESSAGE: ".eml",
    "text/calendar": ".ics",
    "text/plain": ".txt",
    "text/vcard": ".vcf",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "application/ms-tnef": ".dat",
    "application/zip": ".zip",
}


def shown(filename: str | None, content_type: str, n: int) -> str:
    """The name an attachment is shown by; one without gets it from its place and type."""
    name = _fit(filename or "")
    if not name:
        return f"part-{n}{_ending(content_type)}"
    if content_type == _MESSAGE and not name.lower().endswith(".eml"):
        name = f"{name[: _LONGEST - 4]}.eml"
    return name


def disposition(kind: str, name: str) -> str:
    """The value of Content-Disposition (RFC 6266), the name in ASCII and as it is (RFC 8187)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r'["\\%;]', "_", plain).strip() or "attachment"
    value = f'{kind}; filename="{plain}"'
    if plain == name:
        return value
    return f"{value}; filename*=UTF-8''{quote(name, safe=_ATTR)}"


def _fit(filename: str) -> str:
    name = "".join(
        " " if character in "\t\r\n" else character
        for character in filename
        if character in "\t\r\n" or unicodedata.category(character) not in _UNSEEN
    )
    name = _UNFIT.sub("_", _FOLDERS.sub("", name))
    name = " ".join(name.split()).strip(". ")
    return _cut(f"_{name}" if _DEVICE.match(name) else name)


def _cut(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > _ENDING:
        return name[:_LONGEST]
    return f"{stem[: _LONGEST - len(ending) - 1]}.{ending}"


def _ending(content_type: str) -> str:
    return _ENDINGS.get(content_type) or _TYPES.guess_extension(content_type) or ".bin"
