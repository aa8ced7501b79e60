"""The options of a node's servers, for Redis clients and HTTP: where they listen, who is let in. Part of
``options.py``.
"""

from __future__ import annotations

from dmqcache.config.option import Option
from dmqcache.defaults import CLIENT_PORT, HTTP_PORT

SERVER_OPTIONS: tuple[Option, ...] = (
    Option(
        "client_address",
        "host_port",
        f"127.0.0.1:{CLIENT_PORT}",
        "Where Redis clients and the other dmqcache commands connect; 'off' for nowhere. Without a password "
        "only clients on this machine are served: see --client-password-file and --allow-open.",
        optional=True,
    ),
    Option(
        "client_socket",
        "path",
        "",
        "A unix socket (mode 0600) for clients of this user beside the client address. The commands find it "
        "at /run/dmqcache/client.sock, or where DMQCACHE_CLIENT_SOCKET says.",
        optional=True,
    ),
    Option(
        "client_password_file",
        "secret",
        "",
        "A file whose first line is the password of clients (AUTH, HELLO AUTH). Read again on SIGHUP.",
        field="client_password",
        optional=True,
    ),
    Option(
        "client_acl_file",
        "path",
        "",
        "A file of named users and what they may, as Redis' aclfile has them: user app on #HASH ~call-* "
        "+@read. Read again on SIGHUP and by ACL LOAD.",
        optional=True,
    ),
    Option(
        "client_tls_address",
        "host_port",
        "off",
        "Where Redis clients connect over TLS (rediss://), beside the client address or, if that is 'off', "
        "alone.",
        optional=True,
    ),
    Option(
        "client_tls_certificate",
        "path",
        "",
        "The certificate (PEM) that clients and browsers are shown; without it that of the bus. Read again "
        "when the file changes.",
        optional=True,
    ),
    Option("client_tls_key", "path", "", "Its private key (PEM, no pass phrase).", optional=True),
    Option(
        "client_tls_ca",
        "path",
        "",
        "Redis clients over TLS must show a certificate that is signed by one of these (PEM). Without it "
        "they need none.",
        optional=True,
    ),
    Option(
        "allow_open",
        "switch",
        "no",
        "Serve clients of other machines though there is no password (Redis' protected-mode no): everybody "
        "who reaches the client address reads and writes everything.",
    ),
    Option(
        "channel",
        "channel",
        "",
        "A channel of the bus that clients publish and subscribe to as dmq:NAME: NAME, or NAME=content/type. "
        "Without a type what they send is text/plain.",
        field="channels",
        repeat=True,
    ),
    Option(
        "notify_keyspace_events",
        "key_events",
        "",
        "Which changes of keys are told to clients that subscribe to __keyspace@N__:KEY or "
        "__keyevent@N__:EVENT, in Redis' letters: KEA tells everything. CONFIG SET changes it until the node "
        "stops.",
        optional=True,
    ),
    Option(
        "rpc_socket",
        "path",
        "",
        "A unix socket for JSON-RPC by datagrams, as Kamailio's jsonrpcs has it: what kamcli speaks. Who may "
        "write to its file (mode 0600) may change everything.",
        optional=True,
    ),
    Option(
        "http_address",
        "host_port",
        f"127.0.0.1:{HTTP_PORT}",
        "Where /metrics, /healthz, /readyz, /rpc and the page answer; 'off' for nowhere. Without a token "
        "other machines may only read.",
        optional=True,
    ),
    Option(
        "http_token_file",
        "secret",
        "",
        "A file whose first line is the token (Authorization: Bearer) that requests must show. Read again on "
        "SIGHUP.",
        field="http_token",
        optional=True,
    ),
    Option(
        "http_protect",
        "choice",
        "changes",
        "What needs the token: changes by /rpc, all of /rpc, or the page and /metrics too. /healthz and "
        "/readyz never do.",
        choices=("changes", "rpc", "all"),
    ),
    Option(
        "http_host",
        "word",
        "",
        "A name by which requests may call this node (the Host header), beside any address, localhost and "
        "the machine's own name. Others are refused: a web page could have its name resolve to this node.",
        field="http_hosts",
        repeat=True,
    ),
    Option(
        "http_tls",
        "switch",
        "no",
        "HTTPS in the place of HTTP, with client_tls_certificate (or the bus' certificate).",
    ),
)
