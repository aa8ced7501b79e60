"""JSON-RPC by datagrams: as kamcli asks, bounded, and nobody who went holds it up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dmqcache.server.http import rpc_socket as module
from dmqcache.server.http.rpc_socket import MAX_DATAGRAM, UNDER_WAY, RpcSocket
from tests.bus.net.loops import Loop, both_loops, run
from tests.server.served import ServedNode
from tests.waiting import until


class Asker:
    """A client with a path of its own, as kamcli has."""

    def __init__(self, folder: Path, name: str = "reply") -> None:
        self.path = folder / name
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(self.path))
        self._sock.setblocking(False)
        self._server = str(folder / "rpc")

    def send(self, body: bytes | str) -> None:
        self._sock.sendto(body.encode() if isinstance(body, str) else body, self._server)

    async def answer(self) -> Any:
        loop = asyncio.get_running_loop()
        return json.loads(await asyncio.wait_for(loop.sock_recv(self._sock, 1 << 20), 10))

    async def ask(self, method: str, *params: object) -> Any:
        self.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 7}))
        answer = await self.answer()
        assert answer.pop("id") == 7 and answer.pop("jsonrpc") == "2.0"
        return answer.get("result", answer)

    def close(self) -> None:
        self._sock.close()
        self.path.unlink()


def served(loop: Loop, folder: Path, work: Callable[[ServedNode, RpcSocket, Asker], Awaitable[None]]) -> None:
    async def main() -> None:
        node = ServedNode()
        server = RpcSocket(node, folder / "rpc", "0.1.0")
        await server.start()
        asker = Asker(folder)
        try:
            await work(node, server, asker)
        finally:
            asker.close()
            await server.close()
            await server.close()
        assert not (folder / "rpc").exists()

    run(loop, main())


@both_loops
def test_the_methods_are_those_of_http_and_may_change_something(loop: Loop, tmp_path: Path) -> None:
    async def work(node: ServedNode, server: RpcSocket, asker: Asker) -> None:
        assert await asker.ask("htable.sets", "users", "alice", "x") == "Ok. Key set to new value."
        assert (await asker.ask("htable.get", "users", "alice"))["item"]["value"] == "x"
        assert node.tables["users"]["alice"] == "x"
        assert (await asker.ask("dmq.list_nodes"))[0]["local"] == 1
        # Kamailio's code by datagrams; over HTTP it is -32601.
        assert (await asker.ask("no.such", "x"))["error"] == {"code": 500, "message": "Method Not Found"}
        asker.send("no json")
        assert (await asker.answer())["error"]["code"] == -32700
        asker.send('[{"jsonrpc":"2.0","method":"core.version","id":1}]')
        assert await asker.answer() == [{"jsonrpc": "2.0", "result": "dmqcache 0.1.0", "id": 1}]
        server.reload()

    served(loop, tmp_path, work)


@both_loops
def test_a_request_as_kamcli_writes_it(loop: Loop, tmp_path: Path) -> None:
    """On several lines, without ``params`` where there are none, and with a member of its own."""

    async def work(node: ServedNode, server: RpcSocket, asker: Asker) -> None:
        head = '{\n  "jsonrpc": "2.0",\n  "method": "%s",\n'
        tail = '  "store_path": "/nowhere/at/all",\n  "id": 4711\n}\n'
        asker.send(head % "htable.seti" + '  "params": ["users",\n"alice",\n7],\n' + tail)
        assert await asker.answer() == {
            "jsonrpc": "2.0",
            "result": "Ok. Key set to new value.",
            "id": 4711,
        }
        assert node.tables["users"]["alice"] == 7
        asker.send(head % "core.uptime" + tail)
        assert set((await asker.answer())["result"]) == {"now", "up_since", "uptime"}
        asker.send(head % "stats.fetch" + '  "params": ["all"],\n' + tail)
        assert "core.rcv_requests" in (await asker.answer())["result"]
        assert not Path("/nowhere").exists()

    served(loop, tmp_path, work)


@both_loops
def test_what_no_datagram_holds_is_said(loop: Loop, tmp_path: Path) -> None:
    async def work(node: ServedNode, server: RpcSocket, asker: Asker) -> None:
        for number in range(2_000):
            node.tables["users"].set(f"k{number}", "x" * 20)
        assert "by HTTP" in (await asker.ask("htable.dump", "users"))["error"]["message"]
        asker.send(b"x" * (MAX_DATAGRAM + 1))
        assert "longer than 65457" in (await asker.answer())["error"]["message"]

    served(loop, tmp_path, work)


@both_loops
def test_who_has_no_address_or_is_gone_holds_nobody_up(loop: Loop, tmp_path: Path) -> None:
    async def work(node: ServedNode, server: RpcSocket, asker: Asker) -> None:
        request = b'{"jsonrpc":"2.0","method":"htable.sets","params":["users","%s","x"],"id":1}'
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
            nameless.sendto(request % b"a", str(tmp_path / "rpc"))
        gone = Asker(tmp_path, "gone")
        gone.send(request % b"b")
        gone.close()
        await until(lambda: {"a", "b"} <= set(node.tables["users"]))
        assert await asker.ask("core.version") == "dmqcache 0.1.0"

    served(loop, tmp_path, work)


@both_loops
def test_an_asker_that_reads_nothing_is_given_up_and_many_requests_wait(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)

    async def work(node: ServedNode, server: RpcSocket, asker: Asker) -> None:
        deaf = Asker(tmp_path, "deaf")
        sent = 0
        while sent < 4 * UNDER_WAY:
            try:
                deaf.send('{"jsonrpc":"2.0","method":"core.version","id":1}')
                sent += 1
            except BlockingIOError:
                await asyncio.sleep(0)
            assert len(server._tasks) <= UNDER_WAY
        await until(lambda: not server._tasks)
        assert await asker.ask("core.version") == "dmqcache 0.1.0"
        deaf.close()

    served(loop, tmp_path, work)


def test_a_path_where_somebody_listens_is_refused(tmp_path: Path) -> None:
    async def work(node: ServedNode, server: RpcSocket, asker: Asker) -> None:
        with pytest.raises(OSError, match="Address already in use") as caught:
            await RpcSocket(node, tmp_path / "rpc", "0.1.0").start()
        assert caught.value.filename == f"rpc_socket {tmp_path / 'rpc'}"

    served(asyncio.new_event_loop, tmp_path, work)
