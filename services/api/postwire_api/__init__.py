"""The REST API of Postwire.

- `app`: everything put together; `__main__` runs it.
- `auth`, `problems`, `headers`, `traffic`: what every request goes through.
- `accounts`, `sync`, `messages`, `mailboxes`, `jobs`, `realtime`: the routes, one subject each.
- `discover`: where an address logs in; `names`: what DNS says of it.
- `schemas`: what goes in and out; `ids`, `cursors`: what stands in paths and queries.
- `queue`: the road to Redis; `html`: mail made fit to be shown; `page`, `docs`: what people open.
"""
