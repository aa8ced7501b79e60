"""A web application that keeps what is slow to find in a table that all its processes share.

    python examples/web.py                                                   # alone, on port 8000
    python examples/web.py 8001 sip:127.0.0.16:5060 sip:127.0.0.11:5060      # with the nodes of `make demo`

The port, our own address on the bus, nodes to join through. Try http://127.0.0.1:8000/alice twice.
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dmqcache import CacheNode, ConfigError, Table


def application(pages: Table) -> Starlette:
    computed = 0

    @pages.cached(ttl=60)
    async def profile(name: str) -> str:
        nonlocal computed
        computed += 1
        await asyncio.sleep(0.2)  # A slow database.
        return f"All that is known of {name}."

    async def show(request: Request) -> JSONResponse:
        text = await profile(request.path_params["name"])
        return JSONResponse({"text": text, "computed here": computed})

    return Starlette(routes=[Route("/{name}", show)])


async def run(port: int, own: str, seeds: list[str]) -> None:
    async with CacheNode(server_address=own, notification_address=seeds, tables=["pages"]) as node:
        await node.wait_ready(30)
        server = uvicorn.Server(
            uvicorn.Config(application(node.table("pages")), host="127.0.0.1", port=port, log_level="warning")
        )
        print(f"serving on port {port}", flush=True)
        await server.serve()


def main() -> int:
    words = sys.argv[1:] or ["8000", "sip:127.0.0.16:5060"]
    if len(words) < 2 or not (words[0].isdecimal() and int(words[0]) < 65536):
        print("usage: web.py PORT OWN_ADDRESS [NODE...]", file=sys.stderr)
        return 2
    port, own, *seeds = words
    try:
        asyncio.run(run(int(port), own, seeds))
    except KeyboardInterrupt:
        return 130
    except (ConfigError, OSError) as error:
        print(f"web.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
