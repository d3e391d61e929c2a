"""One homeserver's client-server API: questions asked at a pace, again where an answer is none.

What is tried again: connections that fail, time-outs, 5xx, and answers of another shape than the specification gives
them; after a pause that doubles each time, drawn from its upper half so that clients do not fall into step (Metcalfe
and Boggs 1976; RFC 6298 for the doubling). A 429 is no failure: everything waits as long as it says
(``retry_after_ms``, or ``Retry-After`` in seconds or as a date, RFC 9110 section 10.2.3), and at least one pause.

Nothing that is asked or answered gets into an error, a log or a traceback.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from fedgen.errors import MeasureError
from fedgen.measure.answers import WhoAmI
from fedgen.measure.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import httpx

    from fedgen.measure.config import Limits

T = TypeVar("T")

CLIENT = ("_matrix", "client", "v3")
"""How the paths of the client-server API begin."""

_CONNECT_SECONDS = 30.0
_USUAL_SECONDS = 60.0  # within which all else is answered, or the server that is asked in turn hangs
_LONGEST_PAUSE = 300.0  # seconds; beyond this more patience is more attempts
_LONGEST_HOLD = 24 * 3600.0  # a server that asks for more, at once or by and by, does not answer
_LARGEST = 1 << 28  # bytes of an answer, unpacked; a million members are half of that
_CODE = re.compile("[A-Z][A-Z_.]{0,63}")
_EXPIRED = ("M_UNKNOWN_TOKEN", "M_USER_DEACTIVATED", "M_USER_SUSPENDED", "M_USER_LOCKED")


class RefusedError(MeasureError):
    """The homeserver says no, and would say so again.

    Attributes:
        status: of HTTP.
        code: Matrix' ``errcode``; empty if it gave none.
        banned: its words speak of a ban, for which there is no code.
    """

    def __init__(self, status: int, code: str, banned: bool = False) -> None:
        super().__init__(f"the homeserver refuses ({status} {code or 'without a reason'})")
        self.status, self.code, self.banned = status, code, banned


class UnansweredError(MeasureError):
    """All attempts were in vain, though the homeserver is there."""

    def __init__(self) -> None:
        super().__init__("the homeserver does not answer as it should, however often it is asked; try again later")


class _Again(Exception):  # noqa: N818  no error: it is tried again
    """An answer that is none."""

    def __init__(self, here: bool) -> None:
        self.here = here  # whether the homeserver was reached


class _Error(msgspec.Struct):
    """The error of an API (Matrix specification, client-server API, "Standard error response"); anything may be odd."""

    errcode: Any = ""
    error: Any = ""
    retry_after_ms: Any = None


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        method: of HTTP.
        parts: of the path, unquoted.
        params: of the query.
        body: JSON; None: no body.
        joins: whether it takes a turn of the joins, too.
        patient: whether its answer may take as long as the limits allow: joins, and members of what was just joined.
    """

    method: str
    parts: tuple[str, ...]
    params: Mapping[str, str | int | list[str]] | None = None
    body: object = None
    joins: bool = False
    patient: bool = False

    @property
    def path(self) -> str:
        """The path, quoted."""
        return "/" + "/".join(quote(part, safe="") for part in self.parts)


class Client:
    """Asks one homeserver; an asynchronous context.

    Args:
        homeserver: its address.
        token: of the user on whose behalf; None: of nobody.
        limits: of the client itself.
        resumed_after: for how many seconds an earlier run was told to wait still; None: there was none.
        on_hold: told for how many seconds everything waits.

    Attributes:
        asked: requests sent so far, those that are tried again included.
    """

    def __init__(
        self,
        homeserver: str,
        token: str | None,
        limits: Limits,
        *,
        resumed_after: float | None = None,
        on_hold: Callable[[float], None] | None = None,
    ) -> None:
        import httpx

        for name in ("httpx", "httpcore"):  # they and those below them log addresses, which hold identifiers
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [logging.NullHandler()], False
        self.asked = 0
        self._met = False  # whether it ever answered
        self._limits = limits
        self._pace = Pace(1.0 / limits.requests_per_second)
        self._joins = Pace(60.0 / limits.joins_per_minute)
        self._on_hold = on_hold
        if resumed_after is not None:  # another run may have asked a moment ago, or been told to wait
            self._joins.hold(self._joins.interval)
            self._pace.hold(max(self._pace.interval, resumed_after))
        try:
            self._http = httpx.AsyncClient(
                base_url=homeserver.rstrip("/"),
                headers={"User-Agent": _user_agent(), **({"Authorization": f"Bearer {token}"} if token else {})},
                follow_redirects=False,  # another host would get the token
                trust_env=homeserver.startswith("https:"),  # or a proxy would
            )
        except (OSError, ValueError):
            raise MeasureError(
                "the certificates or the proxy that the environment names (SSL_CERT_FILE, HTTPS_PROXY, ...) cannot be "
                "used; mend or unset them"
            ) from None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def who_am_i(self) -> str:
        """The id of the user that the token belongs to; errors as of :meth:`ask`."""
        return (await self.ask(Question("GET", (*CLIENT, "account", "whoami")), WhoAmI)).user_id

    async def ask(self, question: Question, answer: type[T], *, attempts: int | None = None) -> T:
        """The answer to a question, in the shape that it has to have.

        Args:
            question: what is asked.
            answer: a type that msgspec decodes.
            attempts: if fewer than the limits allow.

        Raises:
            RefusedError: it is refused for good.
            UnansweredError: the homeserver is there, but gave no answer in all attempts.
            MeasureError: it is not there (at the start, or for all attempts later), or does not take the token.
        """
        here = False
        for attempt in range(min(attempts or self._limits.attempts, self._limits.attempts)):
            if attempt:
                await asyncio.sleep(self._pause(attempt))
            try:
                found = await self._answered(question, answer)
            except _Again as again:
                here = here or again.here
                if not here and not self._met:
                    break  # a wrong address: nobody waits for that
            else:
                self._met = True
                return found
        if here:
            raise UnansweredError
        raise MeasureError(
            "the homeserver cannot be reached; check its address and certificate and that it runs, and go on by the "
            "same command"
        )

    async def _answered(self, question: Question, answer: type[T]) -> T:
        held = 0.0
        while True:
            await (self._joins.turn(self._pace) if question.joins else self._pace.turn())
            response = await self._sent(question)
            if response.status_code != 429:
                return self._judged(response, answer)
            wait = self._asked_to_wait(response)
            self._pace.hold(wait)
            if self._on_hold is not None:
                self._on_hold(wait)
            held += wait
            if held > _LONGEST_HOLD:
                raise _Again(here=True)

    async def _sent(self, question: Question) -> httpx.Response:
        """The response, whole; its time and size are limited as a whole, too."""
        import httpx

        self.asked += 1
        seconds = self._limits.timeout_seconds
        if not question.patient:
            seconds = min(_USUAL_SECONDS, seconds)
        connect = min(_CONNECT_SECONDS, seconds)
        timeout = httpx.Timeout(seconds, connect=connect, pool=None)
        try:
            request = self._http.build_request(
                question.method, question.path, params=question.params, json=question.body, timeout=timeout
            )
            async with asyncio.timeout(connect + seconds):
                response = await self._http.send(request, stream=True)
                try:
                    return await _read(response)
                finally:
                    await response.aclose()
        except httpx.InvalidURL:  # an identifier too long for any address
            raise RefusedError(414, "") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError):
            raise _Again(here=False) from None
        except (TimeoutError, httpx.HTTPError):
            raise _Again(here=True) from None

    def _judged(self, response: httpx.Response, answer: type[T]) -> T:
        if response.status_code == 200:
            try:
                return msgspec.json.decode(response.content, type=answer)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                raise _Again(here=True) from None
        if response.status_code >= 500:
            raise _Again(here=True)
        told = _error(response)
        code = told.errcode if isinstance(told.errcode, str) and _CODE.fullmatch(told.errcode) else ""
        if code == "M_MISSING_TOKEN":
            raise MeasureError("the homeserver answers only to users; give an access token (docs/measure.md)")
        if code in _EXPIRED:
            raise MeasureError(
                f"the homeserver does not take the access token ({code}); get a new one, and go on by the same command"
            )
        raise RefusedError(response.status_code, code, "banned" in str(told.error).lower())

    def _asked_to_wait(self, response: httpx.Response) -> float:
        milliseconds = _error(response).retry_after_ms
        told = min(max(milliseconds, 0), 1000 * _LONGEST_HOLD) / 1000 if isinstance(milliseconds, int | float) else 0.0
        header = _header_seconds(response.headers.get("Retry-After", ""))
        return min(max(told, header, self._limits.backoff_seconds), _LONGEST_HOLD)

    def _pause(self, attempt: int) -> float:
        longest = min(self._limits.backoff_seconds * 2.0 ** (attempt - 1), _LONGEST_PAUSE)
        return random.uniform(longest / 2, longest)


async def _read(response: httpx.Response) -> httpx.Response:
    """A response with its content, as far as that is of a size that can be."""
    import httpx

    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > _LARGEST:
            raise _Again(here=True)
    headers = {name: response.headers[name] for name in ("Retry-After",) if name in response.headers}
    return httpx.Response(response.status_code, headers=headers, content=bytes(content))


def _error(response: httpx.Response) -> _Error:
    try:
        return msgspec.json.decode(response.content, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Error()


def _header_seconds(value: str) -> float:
    """The seconds that a ``Retry-After`` asks for; 0 if it makes no sense."""
    try:
        return max(float(value), 0.0) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time()
    except (ValueError, OverflowError):
        return 0.0


def _user_agent() -> str:
    from fedgen import __version__

    return f"fedgen/{__version__} (measure)"
