"""The servers of a node: which there are, and that they read their files again together."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import redis
import redis.asyncio

from dmqcache import CacheNode
from dmqcache.config.config import ConfigError, load
from dmqcache.node_servers import NodeServers
from tests.ports import free_port
from tests.test_cache_node_start import free

HOST = "127.0.0.93"
BARE = """
import asyncio, sys
from dmqcache import CacheNode

async def main():
    async with CacheNode(server_address=sys.argv[1]):
        print([name for name in sys.modules if name.startswith(("dmqcache.server.", "uvicorn"))])

asyncio.run(main())
"""


def test_a_node_without_servers_loads_nothing_of_them() -> None:
    command = [sys.executable, "-c", BARE, free(HOST)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == "[]\n"


def test_a_file_that_became_wrong_keeps_what_counted_and_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users, token = tmp_path / "users", tmp_path / "token"
    users.write_text("user alice on >secret ~* +@all\n")
    token.write_text("old")
    for file in (users, token):
        file.chmod(0o600)
    clients, http = free_port(HOST), free_port(HOST)

    def rpc(word: str) -> int:
        body = b'{"jsonrpc": "2.0", "method": "htable.sets", "params": ["t", "k", "v"], "id": 1}'
        headers = {"Authorization": f"Bearer {word}", "Content-Type": "application/json"}
        try:
            with urlopen(Request(f"http://{HOST}:{http}/rpc", body, headers)) as response:
                return int(response.status)
        except HTTPError as error:
            return error.code

    def ask(word: str) -> None:
        assert rpc(word) == 200
        assert rpc("neither") == 401
        with redis.Redis(HOST, clients, username="alice", password="secret") as alice:
            assert alice.ping()

    async def main() -> None:
        async with CacheNode(
            server_address=free(HOST),
            table=["t"],
            client_address=f"{HOST}:{clients}",
            client_acl_file=users,
            http_address=f"{HOST}:{http}",
            http_token_file=token,
        ) as node:
            await asyncio.to_thread(ask, "old")
            users.write_text("user alice on +nonsense\n")
            token.write_text("new")
            node.reload()
            await asyncio.to_thread(ask, "new")

    asyncio.run(main())
    assert "what counted before goes on" in caplog.text and "users" in caplog.text


def test_json_rpc_is_served_by_datagrams_of_a_unix_socket(tmp_path: Path) -> None:
    async def main() -> None:
        node = CacheNode(server_address=free(HOST), table="t", join_wait=0, rpc_socket=tmp_path / "rpc")
        async with node:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
                asker.bind(str(tmp_path / "reply"))
                asker.setblocking(False)
                asker.sendto(
                    b'{"jsonrpc":"2.0","method":"htable.sets","params":["t","k","v"],"id":1}',
                    str(tmp_path / "rpc"),
                )
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(asker, 1000), 10)
            assert json.loads(answer) == {"jsonrpc": "2.0", "result": "Ok. Key set to new value.", "id": 1}
            assert node.table("t")["k"] == "v"
        assert not (tmp_path / "rpc").exists()

    asyncio.run(main())


def test_a_wrong_file_of_users_is_told_also_where_no_clients_may_come(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("user alice nonsense\n")
    users.chmod(0o600)
    command = [
        sys.executable,
        "-m",
        "dmqcache",
        "serve",
        "--server-address",
        free(HOST),
        "--http-address",
        "off",
    ]
    command += ["--client-address", "off", "--client-acl-file", str(users)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"{users}: line 1: user alice:" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["client_password_file", "http_token_file"])
def test_a_secret_that_is_not_there_is_told_also_where_nobody_may_come(tmp_path: Path, option: str) -> None:
    config = load(flags={"client_address": "off", "http_address": "off", option: str(tmp_path / "none")})
    nobody: Any = None
    with pytest.raises(ConfigError, match=f"^{option} {tmp_path / 'none'}: No such file or directory$"):
        asyncio.run(NodeServers(config, lambda expires: None).open(nobody))


def test_where_few_files_may_be_open_clients_leave_some_for_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, hard))

    async def scenario() -> None:
        clients = free_port(HOST)
        async with CacheNode(server_address=free(HOST), client_address=f"{HOST}:{clients}"):
            client = redis.asyncio.Redis(host=HOST, port=clients)
            assert await client.config_get("maxclients") == {"maxclients": "128"}
            await client.aclose()

    asyncio.run(scenario())
