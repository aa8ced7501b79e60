"""JSON-RPC 2.0 as Kamailio's operators know it: the protocol, its errors and limits.

What each method does is in ``rpc_methods.py``, how the bytes come and go in ``routes.py``. Where Kamailio
5.6.3 answers a request, the answer here has the same form (tried side by side).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

#: Requests in one batch. A batch of reads is answered within a moment; more is better sent in several.
MAX_BATCH: Final = 1000
TOO_MANY: Final = f"Invalid Request: a batch has at most {MAX_BATCH} requests; send several"
#: JSON-RPC 2.0, section 5.1.
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
#: As long as 64 bits go; a table refuses what is larger still.
_INTEGER: Final = re.compile("[+-]?[0-9]{1,20}")
#: What Kamailio answers when a method fails, and when what it should delete is not there.
FAILED, NOT_FOUND = 500, 404
#: Who asks may only read.
UNAUTHORIZED = 401
#: In place of the id of a request that has none.
NO_ID: Final = object()


class RpcError(Exception):
    """A method's failure: JSON-RPC's ``code`` and ``message``, and the HTTP status of a single request."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """Kamailio sends its own codes as HTTP status too, so that ``curl --fail`` sees them."""
        return self.code if self.code > 0 else NOT_FOUND if self.code == METHOD_NOT_FOUND else 400


@dataclass(frozen=True, slots=True)
class Pieces:
    """The JSON of a result that is too long to build at once, and is no list."""

    texts: AsyncIterator[str]


#: A method's answer: a value, what a coroutine returns in the end, or the items of a list that is too long to
#: build at once.
Result = Any | AsyncIterator[Any] | Pieces


@dataclass(frozen=True, slots=True)
class Method:
    """One method. ``call`` gets as many arguments as there are ``parameters``; those that may be left out are
    None then. A parameter named ``value:int`` becomes an integer, any other a text."""

    call: Callable[..., Result]
    parameters: tuple[str, ...] = ()
    optional: int = 0
    #: Whether something is another thing after it.
    changes: bool = False


Methods = Mapping[str, Method]


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP status and the JSON's pieces; no pieces where nothing is to be answered."""

    status: int
    pieces: AsyncIterator[str] | None


async def answer(methods: Methods, body: bytes, why_no_change: str = "") -> Answer:
    """Handle one request or one batch. Never raises for what a client may send. ``why_no_change``: the client
    may only read, for this reason."""
    if why_no_change:
        methods = {name: _refused(one, why_no_change) for name, one in methods.items()}
    try:
        # Raw bytes, which Kamailio writes into its JSON, become the same escapes as everywhere here.
        request = json.loads(body.decode("utf-8", "surrogateescape"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return _single(None, RpcError(PARSE_ERROR, "Parse error: the body is no JSON"))
    if isinstance(request, list) and len(request) > MAX_BATCH:
        return _single(None, RpcError(INVALID_REQUEST, TOO_MANY))
    if isinstance(request, list) and request:
        return await _batch(methods, request)
    if isinstance(request, dict) and "id" not in request:
        # By JSON-RPC a notification, which nobody answers; Kamailio's operators leave the id out and do want
        # the answer, which then has none either.
        return _single(NO_ID, await _run(methods, request))
    return _single(_id(request), await _run(methods, request))


def _refused(method: Method, why: str) -> Method:
    """In the place of a method that changes something."""

    def refuse(*arguments: object) -> NoReturn:
        raise RpcError(UNAUTHORIZED, why)

    return replace(method, call=refuse) if method.changes else method


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _id(request: object) -> object:
    found = request.get("id") if isinstance(request, dict) else None
    if isinstance(found, bool) or (isinstance(found, float) and not math.isfinite(found)):
        return None  # 1e999 reads as infinite, which JSON cannot write
    return found if isinstance(found, str | int | float) else None


async def _run(methods: Methods, request: object) -> Result | RpcError:
    """Call the method that ``request`` names; errors are returned, not raised."""
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        return RpcError(INVALID_REQUEST, 'Invalid Request: not an object with "jsonrpc": "2.0"')
    name = request.get("method")
    if not isinstance(name, str):
        return RpcError(INVALID_REQUEST, "Invalid Request: no method")
    method = methods.get(name)
    if method is None:
        return RpcError(METHOD_NOT_FOUND, "Method Not Found")
    try:
        result = method.call(*_arguments(method, request.get("params", [])))
        return await result if isinstance(result, Awaitable) else result
    except RpcError as error:
        return error
    except ValueError as error:
        return RpcError(FAILED, str(error))


def _arguments(method: Method, params: object) -> list[str | int | None]:
    """The parameters in the method's order. An object whose names are not the method's is taken in the order
    in which it was written, as Kamailio does."""
    names = [parameter.partition(":")[0] for parameter in method.parameters]
    if isinstance(params, dict):
        given = [params.get(name) for name in names] if set(params) <= set(names) else list(params.values())
    elif isinstance(params, list):
        given = params
    else:
        raise RpcError(INVALID_PARAMS, "Invalid params: neither a list nor an object")
    required = len(names) - method.optional
    if any(value is None for value in given[:required]) or len(given) < required:
        raise RpcError(FAILED, f"Not enough parameters ({', '.join(names)})")
    given = [*given, *[None] * len(names)]  # Kamailio ignores what is too much
    return [_typed(*pair) for pair in zip(method.parameters, given, strict=False)]


def _typed(parameter: str, value: object) -> str | int | None:
    """A value as the parameter wants it: scripts quote numbers, or leave the quotes off a text."""
    name, _, kind = parameter.partition(":")
    if value is None:
        return None
    if kind and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RpcError(INVALID_PARAMS, f"Invalid params: {name} is neither a text nor an integer")
    try:
        # There and back: the bytes decide, and a lone surrogate that stands for none is refused.
        text = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RpcError(INVALID_PARAMS, f"Invalid params: {name} has a lone surrogate") from None
    if kind and not _INTEGER.fullmatch(text):
        raise RpcError(INVALID_PARAMS, f"Invalid params: {name} is no integer")
    return int(text) if kind else text


def _single(request_id: object, result: Result | RpcError) -> Answer:
    return Answer(result.status if isinstance(result, RpcError) else 200, _written(request_id, result))


async def _batch(methods: Methods, requests: list[Any]) -> Answer:
    """A batch has one HTTP status, 200. Requests run one after the other, each just before its answer
    is written; notifications are run and not answered (JSON-RPC 2.0, section 6)."""

    def silent(request: object) -> bool:
        return isinstance(request, dict) and request.get("jsonrpc") == "2.0" and "id" not in request

    if all(silent(request) for request in requests):
        for request in requests:
            await _run(methods, request)
        return Answer(204, None)

    async def pieces() -> AsyncIterator[str]:
        separator = "["
        for request in requests:
            result = await _run(methods, request)
            if silent(request):
                continue
            yield separator
            separator = ","
            async for piece in _written(_id(request), result):
                yield piece
        yield "]"

    return Answer(200, pieces())


async def _written(request_id: object, result: Result | RpcError) -> AsyncIterator[str]:
    """One answer in pieces. Everything is ASCII: bytes that are no UTF-8 stand as lone surrogates."""
    tail = "}" if request_id is NO_ID else f',"id":{json.dumps(request_id)}}}'
    if isinstance(result, RpcError):
        error = json.dumps({"code": result.code, "message": result.message})
        yield f'{{"jsonrpc":"2.0","error":{error}{tail}'
    elif isinstance(result, AsyncIterator):
        yield '{"jsonrpc":"2.0","result":['
        separator = ""
        async for item in result:
            yield separator + json.dumps(item)
            separator = ","
        yield "]" + tail
    elif isinstance(result, Pieces):
        yield '{"jsonrpc":"2.0","result":'
        async for text in result.texts:
            yield text
        yield tail
    else:
        yield f'{{"jsonrpc":"2.0","result":{json.dumps(result)}{tail}'
