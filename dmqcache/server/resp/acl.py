"""Who may run which command on which keys: Redis 7's ACL rules, as far as they fit tables of cells.

Owns the users, the words of their rules and the two questions (who is it, may it). Passwords are kept as
SHA-256, as Redis keeps them, and are compared in constant time. What a command is to the rules says
``access.py``; where they are asked, ``permission.py``; the ACL commands are ``commands_acl.py``'s.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Container, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeVar, cast

from dmqcache.server.resp.globs import compile_glob

DEFAULT: Final = "default"
#: All categories that Redis 7 knows, in its order. Some have no commands here; files written for Redis name
#: them.
CATEGORIES: Final = (
    *("keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog"),
    *("geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection"),
    *("transaction", "scripting"),
)
#: Characters of a user's name, and rules of one user: more is a mistake, not a configuration.
MAX_NAME: Final = 128
MAX_RULES: Final = 1_000
#: Rules of one step of reading them.
STEP_RULES: Final = 20

T = TypeVar("T")


class AclError(ValueError):
    """A rule that is none; the text says which, and never shows a password."""


@dataclass(frozen=True, slots=True)
class KeyRule:
    """Keys by glob pattern, and for what."""

    pattern: str
    read: bool = True
    write: bool = True
    #: Whether a key fits the pattern.
    fits: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fits", compile_glob(self.pattern))

    def allows(self, effects: str) -> bool:
        """Whether all of these may be done to the keys that fit."""
        return (self.read or "r" not in effects) and (self.write or "w" not in effects)

    def __str__(self) -> str:
        if self.read and self.write:
            return f"~{self.pattern}"
        return f"%{'R' if self.read else 'W'}~{self.pattern}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command is to the rules."""

    #: In lower case, with the subcommand where there is one: ``client|list``.
    command: str
    #: In lower case, without ``@``.
    categories: frozenset[str]
    #: Each key with what is done to it: ``r``, ``w``, ``rw``, or neither of both.
    keys: Sequence[tuple[str, str]] = ()
    tables: Sequence[str] = ()
    #: What is done to any key of the table, where the keys are not named, and what all of them begin with.
    whole: tuple[str, str] | None = None
    channels: Sequence[str] = ()
    #: The channels are patterns: only the same ones are allowed.
    literal: bool = False


class Refusal(NamedTuple):
    """Why a user may not, in the words of Redis' log (``command``, ``key``, ``channel``, or ours, ``table``);
    and which one."""

    reason: str
    object: str


@dataclass(frozen=True, slots=True)
class User:
    """One user. Every change makes a new one, so that no connection sees half of it."""

    name: str
    enabled: bool = False
    #: Any password will do.
    nopass: bool = False
    #: SHA-256, in hexadecimal.
    passwords: frozenset[str] = field(default=frozenset(), repr=False)
    #: In order: the last that fits decides. ``+get``, ``-@write``.
    commands: tuple[str, ...] = ("-@all",)
    keys: tuple[KeyRule, ...] = ()
    #: Tables, or None for all.
    tables: frozenset[str] | None = None
    #: Patterns of channels (PUBLISH, SUBSCRIBE).
    channels: tuple[str, ...] = ()

    def fits(self, password: str) -> bool:
        """Whether this is a password of the user."""
        if not self.enabled:
            return False
        digest = hashed(password)
        # Every one is compared, so that the time tells nothing.
        found = [hmac.compare_digest(digest, one) for one in sorted(self.passwords)]
        return self.nopass or any(found)

    @property
    def unlimited(self) -> bool:
        """Whether there is nothing that the user may not: then nobody needs to ask."""
        return (
            self.commands == ("+@all",) and self.tables is None and "*" in self.channels and self._all("rw")
        )

    def refusal(self, wanted: Wanted) -> Refusal | None:
        """Why the user may not; None: it may."""
        if not self._may_run(wanted):
            return Refusal("command", wanted.command)
        for table in wanted.tables:
            if not self.has_table(table):
                return Refusal("table", table)
        for key, effects in wanted.keys:
            if not self._may_touch(key, effects):
                return Refusal("key", key)
        for channel in wanted.channels:
            if not self._may_use(channel, wanted.literal):
                return Refusal("channel", channel)
        return Refusal("key", "*") if wanted.whole is not None and not self._all(*wanted.whole) else None

    def has_table(self, table: str) -> bool:
        """Whether commands may touch a table."""
        return self.tables is None or table in self.tables

    def may_hear(self, table: str, key: str) -> bool:
        """Whether the user may be told of a change: who may not read a key does not hear its name. An empty
        key stands for all of the table."""
        if not self.has_table(table):
            return False
        return not key or self._may_touch(key, "r")

    def _may_run(self, wanted: Wanted) -> bool:
        whole = wanted.command.partition("|")[0]
        for rule in reversed(self.commands):
            what = rule[1:]
            if what in (wanted.command, whole) or (
                what[0] == "@" and (what == "@all" or what[1:] in wanted.categories)
            ):
                return rule[0] == "+"
        return False

    def _may_touch(self, key: str, effects: str) -> bool:
        return any(rule.allows(effects) and rule.fits(key) for rule in self.keys)

    def _may_use(self, channel: str, literal: bool) -> bool:
        if "*" in self.channels:
            return True
        return any(one == channel if literal else compile_glob(one)(channel) for one in self.channels)

    def _all(self, effects: str, beginning: str = "") -> bool:
        return any(rule.pattern in ("*", f"{beginning}*") and rule.allows(effects) for rule in self.keys)

    def describe(self) -> str:
        """As a line of ``ACL LIST``."""
        words = ["user", self.name, *self.flags, *(f"#{one}" for one in sorted(self.passwords))]
        return " ".join([*words, *filter(None, (self.key_rules, self.channel_rules)), *self.commands])

    @property
    def flags(self) -> list[str]:
        """As ACL GETUSER has them."""
        return ["on" if self.enabled else "off", *(["nopass"] if self.nopass else [])]

    @property
    def key_rules(self) -> str:
        """Patterns of keys, and the tables."""
        if self.tables is None:
            tables = []
        else:
            tables = ["resettables", *(f"table={name}" for name in sorted(self.tables))]
        return " ".join([*map(str, self.keys), *tables])

    @property
    def channel_rules(self) -> str:
        """Patterns of channels."""
        return " ".join(f"&{one}" for one in self.channels) or "resetchannels"


def hashed(password: str) -> str:
    """As Redis keeps passwords."""
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).hexdigest()


def everything(name: str = DEFAULT) -> User:
    """Who may do all without a password: the default user of a server that has none."""
    return User(name, True, True, commands=("+@all",), keys=(KeyRule("*"),), channels=("*",))


def with_rules(user: User, rules: Iterable[str], known: Container[str]) -> User:
    """The user after these rules, in their order. ``known``: the names of all commands. AclError."""
    return to_end(_ruled(user, list(rules), known))


def _ruled(user: User, words: list[str], known: Container[str]) -> Generator[None, None, User]:
    """The same in steps."""
    if len(words) > MAX_RULES:
        raise AclError(f"user {user.name}: {len(words)} rules, {MAX_RULES} are the most")
    for number, word in enumerate(words, 1):
        user = _with_rule(user, word, known)
        if not number % STEP_RULES:
            yield
    return user


def to_end(steps: Generator[None, None, T]) -> T:
    """What comes of steps that are done at once."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return cast(T, end.value)


#: Rules of one word without a value.
_WORDS: Final[Mapping[str, Mapping[str, object]]] = {
    "on": {"enabled": True},
    "off": {"enabled": False},
    "nopass": {"nopass": True, "passwords": frozenset()},
    "resetpass": {"nopass": False, "passwords": frozenset()},
    "allkeys": {"keys": (KeyRule("*"),)},
    "resetkeys": {"keys": ()},
    "allcommands": {"commands": ("+@all",)},
    "nocommands": {"commands": ("-@all",)},
    "alltables": {"tables": None},
    "resettables": {"tables": frozenset()},
    "allchannels": {"channels": ("*",)},
    "resetchannels": {"channels": ()},
    # Of Redis' dumps; files written for it have them.
    "sanitize-payload": {},
    "skip-sanitize-payload": {},
}


def _with_rule(user: User, word: str, known: Container[str]) -> User:
    plain = _WORDS.get(word.lower())
    if plain is not None:
        return replace(user, **plain)  # type: ignore[arg-type]
    sign, rest = word[:1], word[1:]
    if word.lower() == "reset":
        return User(user.name)
    if sign in "+-" and rest:
        return replace(user, commands=_command_rule(user.commands, sign, rest.lower(), known))
    if sign == ">" or sign == "<":
        return _with_password(user, hashed(rest), sign == ">")
    if sign in "#!" and len(rest) == 64 and all(char in "0123456789abcdef" for char in rest):
        return _with_password(user, rest, sign == "#")
    if sign == "&" and rest:
        try:
            compile_glob(rest)
        except ValueError as error:
            raise AclError(f"user {user.name}: {error}") from None
        return replace(user, channels=(*(one for one in user.channels if one != rest), rest))
    if word.startswith("table="):
        return replace(user, tables=(user.tables or frozenset()) | {word.removeprefix("table=")})
    try:
        rule = _key_rule(word)
    except ValueError as error:
        raise AclError(f"user {user.name}: {error}") from None
    if rule is None:
        wanted = "after it come 64 hex digits in small letters; " if sign in ("#", "!") else ""
        raise AclError(f"user {user.name}: {_shown(word)} is no rule; {wanted}docs/operations.md lists them")
    return replace(user, keys=(*(one for one in user.keys if one != rule), rule))


def _shown(word: str) -> str:
    """A word that may be a password by mistake is not repeated."""
    return repr(word[:40]) if word[:1] in "+-@~%&" else f"a word that begins with {word[:1]!r}"


def _with_password(user: User, digest: str, add: bool) -> User:
    if add:
        return replace(user, passwords=user.passwords | {digest}, nopass=False)
    if digest not in user.passwords:
        raise AclError(f"user {user.name}: no such password to take away")
    return replace(user, passwords=user.passwords - {digest})


def _command_rule(rules: tuple[str, ...], sign: str, what: str, known: Container[str]) -> tuple[str, ...]:
    if what == "@all":
        return (f"{sign}@all",)
    if what.startswith("@"):
        if what[1:] not in CATEGORIES:
            raise AclError(f"unknown category {what[:40]!r}; ACL CAT lists them")
    elif what not in known:
        raise AclError(f"unknown command {what[:40]!r}")
    return (*(rule for rule in rules if rule[1:] != what), sign + what)


def _key_rule(word: str) -> KeyRule | None:
    if word.startswith("~") and len(word) > 1:
        return KeyRule(word[1:])
    if word.startswith("%"):
        modes, mark, pattern = word[1:].partition("~")
        if mark and pattern and modes and set(modes.upper()) <= {"R", "W"}:
            return KeyRule(pattern, "R" in modes.upper(), "W" in modes.upper())
    return None


class Users:
    """All users of one server."""

    def __init__(self, users: Iterable[User] = ()) -> None:
        self.by_name = {DEFAULT: everything()}
        self.by_name.update((user.name, user) for user in users)

    @property
    def default(self) -> User:
        """Who a client is until it says so."""
        return self.by_name[DEFAULT]

    @property
    def open(self) -> bool:
        """Whether everybody is let in without a password."""
        return self.default.enabled and self.default.nopass

    def log_in(self, name: str, password: str) -> User | None:
        """The user, if the password is one of his. As slow for users that are not there."""
        user = self.by_name.get(name)
        if user is None:
            User(name, True, passwords=frozenset((hashed(""),))).fits(password)
            return None
        return user if user.fits(password) else None


def reading_users(text: str, known: Container[str]) -> Generator[None, None, Users]:
    """Users as Redis' ACL files have them, in steps of a user or less: ``user NAME RULE ...``, one a line.
    AclError with the line, and where there is none at all: a file that is being written anew must not open
    the node to everybody."""
    users: dict[str, User] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        words = raw.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] != "user" or len(words) < 2:
            raise AclError(f"line {number}: it begins with 'user NAME'")
        name = words[1]
        if len(name) > MAX_NAME or name in users:
            raise AclError(f"line {number}: {'the user stands twice' if name in users else 'a long name'}")
        try:
            users[name] = yield from _ruled(User(name), words[2:], known)
        except AclError as error:
            raise AclError(f"line {number}: {error}") from None
        yield
    if not users:
        raise AclError("no user stands in it: begin a line with 'user NAME'")
    return Users(users.values())


def read_users(text: str, known: Container[str]) -> Users:
    """The same at once."""
    return to_end(reading_users(text, known))
