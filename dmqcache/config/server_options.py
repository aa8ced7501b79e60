"""The options of a node's servers, for Redis clients and HTTP: where they listen, who is let in. Part of
``options.py``.
"""

from __future__ import annotations

from dmqcache.config.option import Option

SERVER_OPTIONS: tuple[Option, ...] = (
    Option(
        "client_address",
        "host_port",
        "127.0.0.1:6380",
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
        "http_address",
        "host_port",
        "127.0.0.1:9180",
        "Where /metrics, /healthz and /readyz answer; 'off' for nowhere.",
        optional=True,
    ),
)
