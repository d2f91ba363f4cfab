"""What the handlers are given: the names they take as parameters, and their types."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar.params import Dependency

from postwire.credentials import Keyring
from postwire.store.pool import Pool
from postwire_api import queue

#: The id of the user who asks.
User: TypeAlias = Annotated[str, Dependency(skip_validation=True)]
Store: TypeAlias = Annotated[Pool, Dependency(skip_validation=True)]
Queue: TypeAlias = Annotated[queue.Queue, Dependency(skip_validation=True)]
Keys: TypeAlias = Annotated[Keyring, Dependency(skip_validation=True)]
