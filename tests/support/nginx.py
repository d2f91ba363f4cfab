"""nginx with the configuration that we ship, but for the addresses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from support.relay import HOST

CONFIGURATION = Path(__file__).parents[2] / "deploy/nginx/gateway.conf"

#: What is around our part; nginx is to write nothing outside of its folder.
_AROUND = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    {paths}
    {ours}
}}
"""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
#: The API beside the gateways. One that refuses is asked again with the next request.
_API = """
    location / {{ proxy_pass http://postwire_api; proxy_connect_timeout 2s; }}
}}
upstream postwire_api {{ {servers} }}
"""


def configure(
    folder: Path, port: int, gateways: Sequence[int], api: Sequence[int] = ()
) -> tuple[str, ...]:
    """Write it into `folder`: both gateways behind `port`; the arguments to start nginx with."""
    ours = CONFIGURATION.read_text()
    for was, now in [
        ("listen 8080", f"listen {HOST}:{port}"),
        ("gateway-1:8001", f"{HOST}:{gateways[0]}"),
        ("gateway-2:8001", f"{HOST}:{gateways[1]}"),
    ]:
        assert was in ours
        ours = ours.replace(was, now)
    if api:
        servers = " ".join(f"server {HOST}:{each} max_fails=0;" for each in api)
        ours = ours.rstrip().removesuffix("}") + _API.format(servers=servers)
    paths = " ".join(f"{name}_temp_path {name};" for name in _TEMPORARY)
    (folder / "nginx.conf").write_text(_AROUND.format(paths=paths, ours=ours))
    return "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"
