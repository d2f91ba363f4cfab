"""The JSON of a request, taken at its word."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import ClientException

_WHERE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<where>.*)`", re.DOTALL)


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body is decoded to what its handler takes, without a guess.

    Litestar would convert it as it does query strings: "993" would be a port, and the text "null"
    the absence of a limit.
    """

    async def json(self) -> Any:
        """The body.

        Raises:
            ClientException: what is wrong with it, and where, in words.
        """
        field = self.route_handler.parsed_data_field
        wanted = Any if field is None else field.annotation
        try:
            return msgspec.json.decode(await self.body(), type=wanted)
        except msgspec.ValidationError as error:
            raise ClientException(_in_words(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ClientException("The body is not well-formed JSON in UTF-8.") from None


def _in_words(error: str) -> str:
    found = _WHERE.fullmatch(error)
    return f"{found['where']}: {found['what']}" if found and found["where"] else error
