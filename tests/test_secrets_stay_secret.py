"""A planted secret is looked for wherever a node tells of itself: its log, metrics, page, INFO, the process
list, errors and tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.ports import free_port

HOST = "127.0.0.93"
#: Seconds for a process to start or end.
PATIENCE_S = 60.0
#: Each is found nowhere by chance.
PASSWORD, TOKEN, USERS_PASSWORD = "planted-PaSsWoRd-1", "planted-ToKeN-2", "planted-UsEr-3"
PLANTED = (PASSWORD, TOKEN, USERS_PASSWORD)


class Running:
    """A node with secrets of each kind, and all that it has said on standard error."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], client: int, http: int) -> None:
        self.folder, self.process, self.client_port, self.http_port = folder, process, client, http

    def client(self, password: str | None = PASSWORD, **options: object) -> redis.Redis:
        return redis.Redis(HOST, self.client_port, password=password, decode_responses=True, **options)  # type: ignore[arg-type]

    def http(self, path: str, token: str = TOKEN, body: bytes | None = None) -> str:
        request = urllib.request.Request(f"http://{HOST}:{self.http_port}{path}", body)
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return str(answer.headers) + answer.read().decode()
        except urllib.error.HTTPError as error:
            return str(error.headers) + error.read().decode()

    def end(self) -> str:
        self.process.terminate()
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return said


@contextmanager
def node(folder: Path, form: str) -> Iterator[Running]:
    client, http = free_port(HOST, "tcp"), free_port(HOST, "tcp")
    for name, text in (
        ("password", PASSWORD),
        ("token", TOKEN),
        ("users", f"user app on >{USERS_PASSWORD} ~call-* +@all"),
    ):
        (folder / name).write_text(text + "\n")
    words = ["--client-password-file", "password", "--client-acl-file", "users", "--http-token-file", "token"]
    words += ["--http-protect", "all", "--log-level", "debug", "--log-format", form]
    words += ["--server-address", f"sip:{HOST}:{free_port(HOST)}"]
    words += ["--client-address", f"{HOST}:{client}", "--http-address", f"{HOST}:{http}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dmqcache", "serve", *words],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stderr is not None
    began = ""
    try:
        for line in process.stderr:
            began += line
            if " started: " in line:
                break
        assert not any(one in began for one in PLANTED)
        yield Running(folder, process, client, http)
    finally:
        process.kill()
        process.communicate()


def told_to_clients(running: Running) -> Iterator[str]:
    """Everything that a client can ask about, and what it is told of its own mistakes."""
    with running.client() as client:
        for words in (
            ["INFO"],
            ["CLIENT", "LIST"],
            ["CONFIG", "GET", "*"],
            ["ACL", "LIST"],
            ["ACL", "GETUSER", "app"],
            ["ACL", "LOG"],
            ["DMQ.STATS"],
        ):
            yield str(client.execute_command(*words))
        wrong = (["AUTH", "app", PASSWORD], ["AUTH", "x", USERS_PASSWORD], ["HELLO", "3", "AUTH", "y", TOKEN])
        for words in wrong:
            with pytest.raises(redis.RedisError) as refused:
                client.execute_command(*words)
            yield str(refused.value)
        yield str(client.execute_command("ACL", "LOG"))
        (running.folder / "users").write_text(f"user app on {USERS_PASSWORD}\n")
        with pytest.raises(redis.RedisError) as refused:
            client.execute_command("ACL", "LOAD")
        yield str(refused.value)


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_that_a_node_tells_shows_a_secret(tmp_path: Path, form: str) -> None:
    with node(tmp_path, form) as running:
        told = list(told_to_clients(running))
        for path in ("/", "/metrics", "/readyz", "/nothing"):
            told += [running.http(path), running.http(path, token=PASSWORD)]
        for method in ("dmq.list_nodes", "core.version", "nonsense"):
            told.append(running.http("/rpc", body=json.dumps({"jsonrpc": "2.0", "method": method}).encode()))
        told.append(Path(f"/proc/{running.process.pid}/cmdline").read_text())
        told.append(running.end())
    assert len(told) > 20 and "stopped" in told[-1]
    for text in told:
        assert not any(one in text for one in PLANTED), text[:300]


def test_a_start_that_fails_names_the_file_and_shows_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"user app on {USERS_PASSWORD}\n")
    (tmp_path / "config.toml").write_text(f'client_password = "{PASSWORD}"\n')
    for words, said in (
        (["--client-acl-file", "users"], "users: line 1"),
        (["--client-password-file", "none"], "client_password_file none: No such file"),
        (
            ["--config", "config.toml"],
            "unknown option 'client_password'; did you mean 'client_",
        ),
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "dmqcache", "serve", *words, "--http-address", "off"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env={"PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert ran.returncode == 2
        assert said in ran.stderr.splitlines()[-1]
        assert not any(one in ran.stdout + ran.stderr for one in PLANTED)


def test_a_command_of_the_shell_shows_no_password(tmp_path: Path) -> None:
    environ = {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "DMQCACHE_CLIENT_PASSWORD": PASSWORD,
        "DMQCACHE_CLIENT_USER": "nobody",
    }
    (tmp_path / "users").write_text(f"user app on >{USERS_PASSWORD}\n")
    with node(tmp_path, "text") as running:
        address = f"{HOST}:{running.client_port}"
        for words in (["get", "cache", "a"], ["nodes"], ["set", "cache", "a", "b", "--nonsense"]):
            ran = subprocess.run(
                [sys.executable, "-m", "dmqcache", *words, "--node", address],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                env=environ,
            )
            assert ran.returncode == 2
            assert not any(one in ran.stdout + ran.stderr for one in PLANTED)
