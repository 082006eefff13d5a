"""Calls to a provider: within its rate, tried again when it says so, never taken for done when the answer is lost."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import stamina
from pyrate_limiter import InMemoryBucket, Limiter, Rate

from orchestration import clock
from orchestration.activation.destinations.interface import (
    LostAnswer,
    NotTaken,
    Patience,
    Refused,
    WrongSettings,
)

#: It prints the whole address of every call, which may hold the key of a person.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
Wait = Callable[[httpx.Response], float | None]


@cache
def certificates() -> ssl.SSLContext:
    """Return whom https trusts, read once: it takes longer than a call."""
    return httpx.create_ssl_context()


def limiter(*rates: tuple[int, float]) -> Limiter:
    """Return what holds calls back: at most so many (calls, or rows as weights) in so many seconds, by each pair."""
    return Limiter(InMemoryBucket([Rate(count, int(seconds * 1000)) for count, seconds in rates]))


def retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds of the header Retry-After, a number or a date; None without one."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return _seconds_until(parsedate_to_datetime(text).astimezone(UTC).timestamp())
    except (TypeError, ValueError):
        return None


def said(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer; raise LostAnswer where it holds none, as then nobody knows what was done."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise LostAnswer("unreadable_answer")
    return body


def reset_at(header: str) -> Wait:
    """Return how to read a header that holds the epoch second from which on calls are taken again."""

    def wait(answer: httpx.Response) -> float | None:
        try:
            return _seconds_until(float(answer.headers.get(header, "")))
        except ValueError:
            return None

    return wait


def reset_in(header: str) -> Wait:
    """Return how to read a header that holds the seconds until calls are taken again."""

    def wait(answer: httpx.Response) -> float | None:
        try:
            return max(float(answer.headers.get(header, "")), 0.0)
        except ValueError:
            return None

    return wait


def _seconds_until(epoch: float) -> float:
    return max(epoch - clock.now().replace(tzinfo=UTC).timestamp(), 0.0)


class _Again(Exception):
    """A call that may be tried again: after so many seconds, or (None) after those of our own patience."""

    def __init__(self, code: str, may_be_taken: bool, seconds: float | None = None) -> None:
        super().__init__(code)
        self.code, self.may_be_taken, self.seconds = code, may_be_taken, seconds


class Client:
    """Calls to one provider; ``headers`` hold its secrets and are never shown."""

    def __init__(
        self, name: str, base_url: str, headers: Mapping[str, str], patience: Patience, wait: Wait = retry_after
    ) -> None:
        """Raise WrongSettings where secrets would go over the network in the clear."""
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise WrongSettings(f"{name}: the address of the provider is no https address.", "Write https://… as url.")
        self._name, self._patience, self._wait = name, patience, wait
        #: When calls are taken again, by the monotonic clock: what one thread is told holds for all.
        self._not_before, self._told = 0.0, threading.Lock()
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            headers=dict(headers),
            timeout=patience.timeout,
            follow_redirects=False,
            verify=certificates(),
            trust_env=parts.hostname not in _LOOPBACK,
        )

    def call(
        self,
        method: str,
        path: str,
        rate: Limiter | None = None,
        weight: int = 1,
        is_repeatable: bool = True,
        expected: tuple[int, ...] = (),
        **request: Any,
    ) -> httpx.Response:
        """Make one call, and return its answer: a 2xx, or a status of ``expected``.

        ``request`` is what httpx takes: json, content, data, params, headers. ``is_repeatable``: whether the provider
        may be told twice; else a lost answer is not tried again. Raises NotTaken (busy or out of reach, and nothing
        was taken), LostAnswer (something may have been), Refused (400, 404, 409, 413, 422) or WrongSettings (401, 403).
        """
        may_be_taken = False
        code = "not_tried"
        try:
            for attempt in stamina.retry_context(
                on=self._again,
                attempts=self._patience.attempts,
                timeout=None,
                wait_initial=self._patience.first_wait,
                wait_max=self._patience.longest_wait,
                wait_jitter=self._patience.first_wait,
            ):
                with attempt:
                    if rate is not None:
                        rate.try_acquire("calls", weight=weight)
                    self._hold_back()
                    try:
                        return self._once(method, path, is_repeatable, expected, request)
                    except _Again as error:
                        may_be_taken |= error.may_be_taken
                        raise
        except _Again as error:
            code = error.code
        except _Final as error:
            may_be_taken, code = True, error.code
        if may_be_taken:
            raise LostAnswer(code)
        raise NotTaken(code)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _hold_back(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            time.sleep(left)

    def _again(self, error: Exception) -> bool | float:
        """Say whether, and (a number) after how many seconds, a call is tried again."""
        if not isinstance(error, _Again):
            return False
        if error.seconds is None:
            return True
        if error.seconds > self._patience.longest_wait:
            return False
        with self._told:
            self._not_before = max(self._not_before, time.monotonic() + error.seconds)
        return error.seconds

    def _once(
        self, method: str, path: str, is_repeatable: bool, expected: tuple[int, ...], request: Mapping[str, Any]
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            # a connection that was never there has carried nothing
            raise _Again("no_connection", may_be_taken=False) from error
        except httpx.TransportError as error:
            raise (_Again("answer_lost", may_be_taken=True) if is_repeatable else _Final("answer_lost")) from error
        status = answer.status_code
        if answer.is_success or status in expected:
            return answer
        if status == 429:
            raise _Again("too_many_calls", may_be_taken=False, seconds=self._wait(answer))
        if status >= 500:
            code = f"http_{status}"
            raise _Again(code, may_be_taken=True, seconds=self._wait(answer)) if is_repeatable else _Final(code)
        if status in (401, 403):
            raise WrongSettings(
                f"{self._name} refuses the key: status {status}.",
                "Look at the secret and at its rights at the provider.",
            )
        raise Refused(f"http_{status}")


class _Final(Exception):
    """A lost answer to a call that must not be made twice."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
