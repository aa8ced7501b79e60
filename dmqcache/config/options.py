"""Every option of ``dmqcache serve``, once: name, type, default, unit, and what higher and lower cost.

The command line, the configuration file, the environment and the documentation are made from this table.
How a value becomes part of a ``Config``, and which source wins, is ``config.py``'s; the options of servers
stand in ``server_options.py``. Nothing heavy is imported: the command line reads this before every command.
"""

from __future__ import annotations

from dmqcache import defaults
from dmqcache.config.database_options import DATABASE_OPTIONS
from dmqcache.config.option import ENVIRONMENT_PREFIX, ConfigError, Option
from dmqcache.config.server_options import SERVER_OPTIONS

__all__ = ["BY_NAME", "ENVIRONMENT_PREFIX", "OPTIONS", "ConfigError", "Option"]

OPTIONS: tuple[Option, ...] = (
    Option(
        "server_address",
        "node",
        "sip:127.0.0.1:5060",
        "This node's own address on the bus, as the other nodes are told it. ;transport=tcp selects TCP.",
    ),
    Option(
        "notification_address",
        "node",
        "",
        "A node, dmqcache or Kamailio, through which to join the bus. Two or more survive the loss of one.",
        field="notification_addresses",
        repeat=True,
    ),
    Option(
        "notification_channel",
        "word",
        defaults.NOTIFICATION_CHANNEL,
        "The channel on which nodes tell each other who is there, where the Kamailio nodes' "
        "notification_channel is not the default. The same on all nodes.",
    ),
    Option(
        "source_address",
        "node_source",
        "",
        "Another IP address from which a node sends, where a Kamailio uses server_socket, has several "
        "interfaces or stands behind NAT: sip:10.0.0.13:5060=10.0.1.13. From elsewhere it is refused; with "
        "its own address it may send from any port.",
        field="source_addresses",
        repeat=True,
    ),
    Option(
        "known_channel",
        "word",
        "",
        "A channel that Kamailio nodes use among themselves (usrloc, dialog): what comes on it is answered "
        "404, as ever, and not counted as a drop.",
        field="known_channels",
        repeat=True,
    ),
    Option(
        "listen_address",
        "node",
        "",
        "Where to bind when that is not the server address: behind NAT, in a container (0.0.0.0:5060). One "
        "for each transport where nodes of several are on the bus.",
        field="listen_addresses",
        repeat=True,
    ),
    Option(
        "alias",
        "node",
        "",
        "Another address under which others may know this node, so that it is not taken for a stranger.",
        field="aliases",
        repeat=True,
    ),
    Option(
        "allow",
        "sources",
        "",
        "Who may speak on the bus at all: an address, a network (10.0.0.0/24) or a host name. Without it "
        "everybody whose address is verified. Name every other node, Kamailio nodes too.",
        repeat=True,
    ),
    Option(
        "bus_key_file",
        "path",
        "",
        "A file with the key that the dmqcache nodes of the bus share ('dmqcache key new FILE' makes one): "
        "who does not hold it gets no word in. Up to four keys, the first one signs; read again when it "
        "changes and on SIGHUP.",
        optional=True,
    ),
    Option(
        "bus_key_require",
        "choice",
        "yes",
        "Whether nodes without the key are turned away. 'no' while a cluster is moved from no key to one: "
        "this node signs, and takes what is not signed too.",
        choices=("yes", "no"),
    ),
    Option(
        "kamailio",
        "sources",
        "",
        "With a bus key: an address, a network or a host name of Kamailio nodes. They hold no key, so from "
        "there unsigned messages are taken, but on the channel of the dmqcache nodes.",
        repeat=True,
    ),
    Option(
        "tls_certificate",
        "path",
        "",
        "This node's certificate (PEM), for addresses with ;transport=tls. Its names must include the host "
        "of the server address. Read again when the file changes.",
        optional=True,
    ),
    Option("tls_key", "path", "", "The certificate's private key (PEM, no pass phrase).", optional=True),
    Option(
        "tls_ca",
        "path",
        "",
        "The certificates (PEM) of those who sign the nodes' certificates. No others are trusted.",
        optional=True,
    ),
    Option(
        "tls_require_certificate",
        "choice",
        "yes",
        "Whether a node that connects must show a certificate. 'no': who connects is only known by its "
        "address, as over TCP.",
        choices=("yes", "no"),
    ),
    Option(
        "table",
        "table",
        "cache",
        "A replicated table: a name, or Kamailio's notation users=>size=12;autoexpire=3600;initval=0;"
        "updateexpire=1;dmqreplicate=1;dbtable=htable;dbmode=1.",
        field="tables",
        repeat=True,
    ),
    *SERVER_OPTIONS,
    Option(
        "ping_interval",
        "seconds",
        f"{defaults.PING_INTERVAL:g}",
        "How often the node list goes to all known nodes. Less than 60 is raised to 60: Kamailio's own "
        "minimum. Higher: less traffic, but Kamailio nodes notice a dead one later.",
        unit="seconds",
        minimum=0,
    ),
    Option(
        "probe_interval",
        "seconds",
        f"{defaults.PROBE_INTERVAL:g}",
        "How often one of the nodes, in turn, is asked whether it lives. Lower: a dead node is noticed "
        "sooner; higher: fewer messages.",
        unit="seconds",
        minimum=0.1,
    ),
    Option(
        "remove_inactive",
        "seconds",
        f"{defaults.REMOVE_INACTIVE:g}",
        "How long a node that does not answer any more is kept and asked; then it is only shown as lost. 0: "
        "for ever, as Kamailio's remove_inactive 0. Higher: its changes are kept longer; lower: less is sent "
        "to nodes that are gone for good. Notification addresses are always kept.",
        unit="seconds",
        minimum=0,
    ),
    Option(
        "num_workers",
        "integer",
        str(defaults.NUM_WORKERS),
        "How many messages of the bus are handled at once. Higher: a slow peer's handler holds others up "
        "less; the built-in handlers never wait, so they gain nothing.",
        minimum=1,
        maximum=1024,
    ),
    Option(
        "t1",
        "seconds",
        f"{defaults.T1:g}",
        "RFC 3261's T1: the first retransmission to a node whose round trip is not known. Lower: faster on "
        "a lossy network, more duplicates on a slow one.",
        unit="seconds",
        minimum=0.01,
    ),
    Option(
        "t2",
        "seconds",
        f"{defaults.T2:g}",
        "RFC 3261's T2: the longest time between two retransmissions. Lower: more duplicates to a node "
        "that is down; higher: slower after a long loss.",
        unit="seconds",
        minimum=0.01,
    ),
    Option(
        "peer",
        "word",
        "",
        "A further consumer on the bus: usrloc, dialog, presence, or one of your own as module:Class; "
        "usrloc=CHANNEL where dmq_peer_id of module dmq_usrloc names another channel.",
        field="peers",
        repeat=True,
    ),
    Option(
        "max_value_bytes",
        "integer",
        str(defaults.MAX_VALUE_BYTES),
        "The longest value that a client may set, as JSON (a quotation mark, a backslash and a control "
        "character take 2 to 6 bytes). Where the bus runs over UDP no more than 56,000 are taken, but in "
        "tables with dmqreplicate=0: one value is one datagram. Higher: larger messages.",
        unit="bytes",
        minimum=1,
        maximum=512 * 1024 * 1024,
    ),
    Option(
        "max_memory",
        "size",
        "0",
        "What the cells of this node may take together: keys, values and 420 bytes for each. The process "
        "itself takes some 60 MB beside. 0: no bound. Each node has its own.",
        unit="bytes, or kb, mb, gb",
    ),
    Option(
        "max_memory_policy",
        "choice",
        "noeviction",
        "What is done at the bound: clients' writes are refused, or cells go here and nowhere else, those "
        "that were not used for longest (lru) or have least time left (ttl), of all or only of those with a "
        "time to live.",
        choices=("noeviction", "allkeys-lru", "volatile-lru", "volatile-ttl"),
    ),
    Option(
        "kamailio_message_bytes",
        "node_bytes",
        "",
        "How long a message a Kamailio node receives, where its msg_recv_max_size is not the default of its "
        "version: sip:10.0.0.13:5060=60000. More than 61,500 is never sent. Higher: longer values reach it; "
        "higher than what it receives: they are left unanswered and then kept from it.",
        unit="bytes",
        repeat=True,
        minimum=2000,
        maximum=65535,
    ),
    Option(
        "outbox_limit",
        "integer",
        "100000",
        "How many changed keys wait for a node that does not take them, before it is left to be repaired "
        "later. Higher: more memory for each silent node; lower: a repair after shorter absences.",
        unit="keys for each node",
        minimum=1,
    ),
    Option(
        "repair_interval",
        "seconds",
        "5",
        "How often this node compares its tables with another one's. Lower: a difference that slipped "
        "through lives shorter; higher: less traffic.",
        unit="seconds",
        minimum=1,
    ),
    Option(
        "tombstone_ttl",
        "seconds",
        f"{defaults.TOMBSTONE_TTL:g}",
        "How long a delete is remembered at least. Higher: a node that was away for longer brings no "
        "deleted key back; costs memory for each delete.",
        unit="seconds",
        minimum=60,
    ),
    Option(
        "tombstone_limit",
        "integer",
        str(defaults.TOMBSTONE_LIMIT),
        "How many deletes are remembered at most; beyond it the oldest are forgotten early. Higher: memory.",
        unit="keys",
        minimum=0,
    ),
    Option(
        "join_wait",
        "seconds",
        "3",
        "How long a node without --notification-address waits for other nodes to come to it before it says "
        "ready. Higher: it finds also those that look for it seldom; lower: a single node is ready sooner.",
        unit="seconds",
        minimum=0,
    ),
    Option(
        "stop_timeout",
        "seconds",
        "10",
        "How long a node that is asked to stop waits until the others have acknowledged what was written to "
        "it. Higher: fewer lost writes behind a slow node; lower: a quicker end. 0 does not wait.",
        unit="seconds",
        minimum=0,
    ),
    Option(
        "data_dir",
        "path",
        "",
        "A folder of this node's own in which its tables outlive a full stop. Without it they are gone when "
        "no node is left.",
        optional=True,
    ),
    Option(
        "flush_interval",
        "seconds",
        "1",
        "How far the disk may be behind: what is lost at most when a node is killed and no other is there "
        "(two flushes, if one takes longer than half of this). "
        "Higher: fewer writes to the disk where the same keys change often. A stop writes everything.",
        unit="seconds",
        minimum=0.1,
        maximum=60,
    ),
    *DATABASE_OPTIONS,
    Option(
        "log_level",
        "choice",
        "info",
        "How much is written to standard error.",
        choices=("debug", "info", "warning", "error"),
    ),
    Option(
        "log_format",
        "choice",
        "text",
        "Lines for people, or one JSON object a line for collectors.",
        choices=("text", "json"),
    ),
)

#: The options by name. Read only.
BY_NAME: dict[str, Option] = {option.name: option for option in OPTIONS}
