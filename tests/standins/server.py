"""A provider on loopback: it keeps what it is told, says what is against its rules, and fails where a script says."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from orchestration.activation.destinations.interface import Target, Value

#: What may go wrong with one call. ``cut_before``: the connection goes and nothing was taken; ``cut_after``: it was
#: taken and the answer is lost; ``error_before`` and ``error_after``: the same with a status 500.
FAULTS = ("cut_before", "cut_after", "error_before", "error_after", "busy", "away")


@dataclass(frozen=True)
class Request:
    """A call as it came. ``at``: seconds by the monotonic clock."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Answer:
    """A status, what is said (JSON, or bytes as they are), and headers."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Faults:
    """What goes wrong, drawn anew for each call from ``seed``: ``share`` of the calls have one of ``kinds``.

    ``row_share``: of rows that are refused this time, ``bad_keys`` each time. ``stops_after``: calls after which the
    provider is away until `mend`. ``pause``: seconds it asks for when it is busy.
    """

    seed: int = 0
    share: float = 0.0
    kinds: tuple[str, ...] = FAULTS
    row_share: float = 0.0
    bad_keys: frozenset[str] = frozenset()
    stops_after: int | None = None
    pause: float = 0.02

    def __post_init__(self) -> None:
        self._random, self._calls = random.Random(self.seed), 0

    def next(self) -> str | None:
        """Return what goes wrong with the next call."""
        self._calls += 1
        if self.stops_after is not None and self._calls > self.stops_after:
            return "cut_before"
        return self._random.choice(self.kinds) if self._random.random() < self.share else None

    def refuses(self, key: str) -> str | None:
        """Return ``permanent`` or ``temporary`` for a row that is refused, else None."""
        if key in self.bad_keys:
            return "permanent"
        return "temporary" if self._random.random() < self.row_share else None

    def mend(self) -> None:
        """Let nothing go wrong from now on, but for the rows that are bad in themselves."""
        self.share, self.row_share, self.stops_after = 0.0, 0.0, None


class StandIn:
    """A provider's rules and state; one class a provider says what an answer is.

    ``problems`` are calls against the rules (a missing header, too many rows, a call that changes consent, too many in
    a while): a test that uses a stand-in asks that there are none. ``windows``: by bucket the most of a rate as
    (count, seconds); `count` enters what comes.
    """

    windows: Mapping[str, tuple[tuple[int, float], ...]] = {}
    #: What destinations.yml calls the kind, and the environment variables with its secrets.
    type: str = ""
    environment: Mapping[str, str] = {}
    #: The file of the provider's contract, and the address that it names.
    contract: str = ""
    server: str = ""

    def __init__(self, faults: Faults | None = None, second: float = 1.0) -> None:
        """Let ``second`` be how long a second of the windows lasts, as `Patience.second` does."""
        self.faults, self._second = faults or Faults(), second
        self.requests: list[Request] = []
        self.problems: list[str] = []
        self._lock, self._counted = threading.Lock(), {}
        self._quiet_until = 0.0
        self._server: ThreadingHTTPServer | None = None

    # what a provider's class defines

    def answer(self, request: Request) -> Answer:
        """Return what the provider says to a call, having taken it."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Return the options of a destination that goes here."""
        raise NotImplementedError

    def audience_options(self, audience: str) -> dict[str, Any]:
        """Return the options of an audience of it."""
        return {}

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        """Return the members of a target by key, with the attributes of ``names`` that are set, as a Row has them.

        Where membership is nothing but attributes, whoever has one of them is a member.
        """
        raise NotImplementedError

    def busy(self, pause: float) -> Answer:
        """Return the provider's own sign of later."""
        return Answer(429, {"message": "too many"}, {"Retry-After": f"{pause:.2f}"})

    def in_contract(self, request: Request) -> Request | None:
        """Return a call as the contract has it, where that is known to be wrong; None where it lacks the call."""
        return request

    # what all have

    def problem(self, text: str) -> None:
        """Note something against the rules."""
        self.problems.append(text)

    def need(self, request: Request, **headers: str) -> bool:
        """Note headers that are missing or wrong; names have ``_`` for ``-``. Return whether all were right."""
        right = True
        for name, wanted in headers.items():
            found = request.headers.get(name.replace("_", "-").lower())
            if found != wanted:
                self.problem(f"{request.method} {request.path}: header {name} is {found!r}")
                right = False
        return right

    def count(self, bucket: str, weight: int = 1) -> None:
        """Enter a call (or its rows) in a rate, and note where that is more than the rate allows."""
        now = time.monotonic()
        for number, (most, seconds) in enumerate(self.windows[bucket]):
            seconds *= self._second
            seen: deque[tuple[float, int]] = self._counted.setdefault((bucket, number), deque())
            seen.append((now, weight))
            while seen[0][0] <= now - seconds:
                seen.popleft()
            if (total := sum(one for _, one in seen)) > most:
                self.problem(f"{bucket}: {total} in {seconds} s, {most} are allowed")

    def __enter__(self) -> StandIn:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it answers."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, request: Request) -> Answer | None:
        """Return what is answered, faults included; None: the connection is cut."""
        with self._lock:
            self.requests.append(request)
            if time.monotonic() < self._quiet_until - 0.005:
                self.problem(f"{request.method} {request.path}: called before the time that was named")
            fault = self.faults.next()
            match fault:
                case "cut_before":
                    return None
                case "error_before":
                    return Answer(500, {"message": "error"})
                case "away":
                    return Answer(503, {"message": "away"})
                case "busy":
                    if "retry" in "".join(self.busy(1.0).headers).lower() or self.busy(1.0).headers:
                        self._quiet_until = time.monotonic() + self.faults.pause
                    return self.busy(self.faults.pause)
            said = self.answer(request)
            if fault == "cut_after":
                return None
            return Answer(500, {"message": "error"}) if fault == "error_after" else said


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # an answer goes in one piece and at once: else every call waits 40 ms for the system
        wbufsize, disable_nagle_algorithm = -1, True

        def _take(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                # whoever called was killed before all of it was said
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body, time.monotonic())
            said = stand_in.take(request)
            if said is None:
                self.close_connection = True
                self.connection.close()
                return
            content = b"" if said.body is None else said.body
            if not isinstance(content, bytes):
                content = json.dumps(content).encode()
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _take

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (OSError, ValueError):
                self.close_connection = True

    return Handler
