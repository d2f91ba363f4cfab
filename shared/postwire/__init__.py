"""What every Postwire process shares.

- `model`: the frozen dataclasses that everything speaks of.
- `errors`: one tree; its first cut answers "will trying again help?".
- `settings`: one class per process, read once from `POSTWIRE_*`.
- `credentials`, `tokens`: secrets at rest and on the road; `oauth`: who gives out access tokens.
- `events`, `jobs`: the two roads through Redis; neither knows the store.
- `store`: the only home of SQL.
- `log`, `metrics`, `ops`: how a process is seen from outside.
"""
