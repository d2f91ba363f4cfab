"""What the handlers are given: the names they take as parameters, and their types."""

from __future__ import annotations

from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from postwire import oauth
from postwire.credentials import Keyring
from postwire.store.pool import Pool
from postwire_api import names, queue

#: The id of the user who asks.
User: TypeAlias = NamedDependency[SkipValidation[str]]
Store: TypeAlias = NamedDependency[SkipValidation[Pool]]
Queue: TypeAlias = NamedDependency[SkipValidation[queue.Queue]]
Keys: TypeAlias = NamedDependency[SkipValidation[Keyring]]
Providers: TypeAlias = NamedDependency[SkipValidation[oauth.Providers]]
#: Accounts that one user has at most.
MostAccounts: TypeAlias = NamedDependency[SkipValidation[int]]
DnsNames: TypeAlias = NamedDependency[SkipValidation[names.Names]]
