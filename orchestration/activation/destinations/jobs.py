"""What providers that work in the background have in common: jobs to follow, reports to read, batches in pieces."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import stamina

from orchestration.activation.destinations.client import certificates
from orchestration.activation.destinations.interface import (
    LostAnswer,
    NotTaken,
    Patience,
    Refused,
)

Found = TypeVar("Found")
_LONGEST_REPORT = 50_000_000


def follow(patience: Patience, look: Callable[[], Found | None], first_wait: float | None = None) -> Found:
    """Look at a job until it has ended, and return what it came to; ``look`` returns None while it goes on.

    The job was taken: whatever keeps its end from being seen is a lost answer. Waits are doubled up to the longest.
    """
    until = time.monotonic() + patience.longest_job
    wait = first_wait or patience.poll_wait
    while True:
        time.sleep(min(wait, max(until - time.monotonic(), 0.0)))
        try:
            found = look()
        except (NotTaken, Refused) as error:
            raise LostAnswer(error.code) from error
        if found is not None:
            return found
        if time.monotonic() >= until:
            raise LostAnswer("job_goes_on")
        wait = min(wait * 2, patience.longest_wait)


class _Unread(Exception):
    """A report that may be had a moment later."""


def read_report(url: str, base_url: str, hosts: Sequence[str], patience: Patience) -> str | None:
    """Return a report that an answer links to, None where it can't be had; no secret goes along.

    It is read from the provider's own address, or by https from a host that ends with one of ``hosts``: a link must
    not send a call anywhere else.
    """
    parts, own = urlsplit(url), urlsplit(base_url)
    is_own = (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
    is_known = parts.scheme == "https" and (parts.hostname or "").endswith(tuple(f".{host}" for host in hosts))
    if not (is_own or is_known):
        return None
    try:
        for attempt in stamina.retry_context(
            on=_Unread,
            attempts=patience.attempts,
            timeout=None,
            wait_initial=patience.first_wait,
            wait_max=patience.longest_wait,
            wait_jitter=patience.first_wait,
        ):
            with attempt:
                return _read(url, patience.timeout, is_own)
    except _Unread:
        pass
    return None


def _read(url: str, timeout: float, is_own: bool) -> str | None:
    try:
        return _content(url, timeout, is_own)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # the link is a secret of its own, and stands in some of these errors
        raise _Unread(type(error).__name__) from None


def _content(url: str, timeout: float, is_own: bool) -> str | None:
    with (
        httpx.Client(verify=certificates(), timeout=timeout, follow_redirects=False, trust_env=not is_own) as client,
        client.stream("GET", url) as answer,
    ):
        if answer.status_code == 429 or answer.status_code >= 500:
            raise _Unread
        if not answer.is_success:
            return None
        content = bytearray()
        for part in answer.iter_bytes():
            content += part
            if len(content) > _LONGEST_REPORT:
                return None
    return content.decode("utf-8-sig", errors="replace")


def rows_of_report(text: str, names: Mapping[str, str]) -> dict[str, str]:
    """Return key -> what is said of it, of a report that names rows in any of its columns.

    ``names``: what a row may be called there, as it is or in small letters -> its key. What is said stands in the
    column whose heading speaks of an error or a reason; empty without one.
    """
    first_line = text.partition("\n")[0]
    lines = list(csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first_line.count)))
    headings = [cell.strip().lower() for cell in lines[0]] if lines else []
    reason = next((at for at, name in enumerate(headings) if "error" in name or "reason" in name), None)
    found: dict[str, str] = {}
    for line in lines:
        said = line[reason] if reason is not None and reason < len(line) else ""
        cells = [cell.strip() for cell in line]
        named = {key for cell in cells if (key := names.get(cell, names.get(cell.lower()))) is not None}
        # an address beside a key may be that of another row too
        by_key = {key for key in named if key.lower() in map(str.lower, cells)}
        found |= dict.fromkeys(by_key or named, said)
    return found
