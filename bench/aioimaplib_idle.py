"""Many accounts in IDLE as a user of aioimaplib would hold them: one event loop, one TLS context.

python -m bench.aioimaplib_idle PORT CA_FILE ACCOUNTS CONNECTING

Says `ready`, waits for a line, connects; then a line for each EXISTS: whose, and when.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time

import aioimaplib

from postwire_demo.processes import HOST


async def main(port: int, ca_file: str, accounts: int, connecting: int) -> None:
    """Hold them until killed."""
    context = ssl.create_default_context(cafile=ca_file)
    gate = asyncio.Semaphore(connecting)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(_hold(gate, context, port, f"u{n}") for n in range(accounts)))


async def _hold(gate: asyncio.Semaphore, context: ssl.SSLContext, port: int, user: str) -> None:
    async with gate:
        client = aioimaplib.IMAP4_SSL(HOST, port, timeout=60, ssl_context=context)
        await client.wait_hello_from_server()
        await client.login(user, "secret")
        # After EXAMINE it would take IDLE for illegal.
        await client.select("INBOX")
        await client.idle_start()
    while True:
        for line in await client.wait_server_push():
            if line.endswith(b"EXISTS"):
                print(user, time.monotonic_ns(), flush=True)


if __name__ == "__main__":
    _, port, ca_file, accounts, connecting = sys.argv
    asyncio.run(main(int(port), ca_file, int(accounts), int(connecting)))
