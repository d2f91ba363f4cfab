"""The only home of SQL and of psycopg.

One function, one statement, written as a literal beside the mapping of its rows. Every function
takes a `Connection`; callers open `pool.transaction`, so that the extent of a transaction is
visible at the call. Nothing here calls the network, Redis or a mail server.
"""
