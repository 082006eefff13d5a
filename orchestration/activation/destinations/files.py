"""Files: whole lists as CSV, Parquet or JSON lines; in a folder here, at S3 or on an SFTP server."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import duckdb

from orchestration.activation.destinations.client import LOOPBACK
from orchestration.activation.destinations.interface import (
    OUTGOING,
    LostAnswer,
    NotTaken,
    Patience,
    Problem,
    Target,
    WholeDestination,
    WrongSettings,
    as_code,
)
from orchestration.activation.destinations.options import split_url, wrong_addresses
from orchestration.activation.files import FORMATS, count_rows, file_name, write_file
from orchestration.activation.folders.local import Folder, LocalFolder, make_private
from orchestration.landing.quoting import identifier, literal

_DEFAULT_FORMATS = ("csv", "parquet")
#: A column begins with a letter, so that no header is a formula.
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_.:\- ]{0,99}")
#: Options that name the environment variable with a secret. Which are needed depends on the address.
_SECRETS = ("key_env", "secret_env", "password_env", "private_key_env")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
#: Memory of DuckDB while it sorts; it goes on on the disk.
_MEMORY = "256MB"


class Files(WholeDestination):
    """A file a list and format, and a manifest that says which belong together."""

    type: ClassVar[str] = "files"
    options: ClassVar[Mapping[str, bool]] = {
        "url": True,
        "formats": False,
        "addresses": False,
        "key_env": False,
        "secret_env": False,
        "endpoint_url": False,
        "region": False,
        "password_env": False,
        "private_key_env": False,
        "host_key": False,
        "known_hosts": False,
    }

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        super().__init__(file_name(name), options, patience)
        self.addresses = self.addresses_of(options)
        self._url = split_url(options)
        self._formats = tuple(options.get("formats", _DEFAULT_FORMATS))
        base = Path(str(options["base"]))
        self._is_local = not self._url.scheme
        #: Files are made here: where they stay, or else where nobody but this destination looks.
        self._work = base / (str(options["url"]) if self._is_local else OUTGOING) / name

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return what is wrong with the address, what it needs beside it, the formats and the names of columns."""
        problems = [*wrong_addresses(options), *_wrong_place(options)]
        formats = options.get("formats", _DEFAULT_FORMATS)
        if not isinstance(formats, list | tuple) or not formats or not set(map(str, formats)) <= set(FORMATS):
            problems.append(Problem(("options", "formats"), f"must be a list of {', '.join(FORMATS)}"))
        for audience, names in attributes.items():
            for column in names:
                if not _COLUMN.fullmatch(column):
                    rule = "begin with a letter, and be letters, digits, spaces and _ . : -, 100 at most"
                    problems.append(
                        Problem(("attributes", audience, column), f"the name of a column must {rule}: {column!r}")
                    )
        return problems

    def prepare(self, target: Target) -> None:
        """Remove what a killed run left here: it holds what a list holds."""
        shutil.rmtree(self._scratch(target), ignore_errors=True)

    def put(self, target: Target, rows: Path | None, names: Sequence[str]) -> int:
        """Make the files here, put each in place complete, and the manifest last."""
        audience = file_name(target.audience)
        scratch = self._scratch(target)
        self.prepare(target)
        make_private(scratch)
        try:
            files, count = self._make(scratch, audience, rows, names)
            manifest = scratch / f"{audience}.manifest.json"
            digests = {file.name: _digest(file) for file in files}
            said = {"audience": audience, "plan_date": target.plan_date, "rows": count, "files": digests}
            manifest.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
            manifest.chmod(0o600)
            self._place([*files, manifest], [f"{audience}.{one}" for one in FORMATS if one not in self._formats])
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return count

    @cached_property
    def _writer(self) -> duckdb.DuckDBPyConnection:
        """What writes the files of all lists: opening it takes longer than writing a small one."""
        con = duckdb.connect()
        # one thread: else the same rows may come out as other bytes
        con.execute(f"set threads = 1; set memory_limit = '{_MEMORY}'")
        sorting = self._work / ".sorting.tmp"
        # of a run that was killed while it sorted a long list
        shutil.rmtree(sorting, ignore_errors=True)
        con.execute(f"set temp_directory = {literal(str(sorting))}")
        return con

    def close(self) -> None:
        """Close what writes, if anything was written."""
        if "_writer" in self.__dict__:
            self._writer.close()

    def _scratch(self, target: Target) -> Path:
        return self._work / f".{file_name(target.audience)}.tmp"

    def _make(self, scratch: Path, audience: str, rows: Path | None, names: Sequence[str]) -> tuple[list[Path], int]:
        columns = ("user_id", *sorted(self.addresses), *names)
        source = self._source(rows, columns)
        files = [scratch / f"{audience}.{one}" for one in self._formats]
        for file in files:
            write_file(self._writer, file, source, [identifier(column) for column in columns], "user_id")
        return files, count_rows(self._writer, source)

    def _source(self, rows: Path | None, names: Sequence[str]) -> str:
        """SQL for the rows; what the file has no column for is text that nobody has, and no number is no number."""
        if rows is None:
            nothing = ", ".join(f"cast(null as varchar) as {identifier(name)}" for name in names)
            return f"from (select {nothing} where false)"
        there = f"read_parquet({literal(str(rows))}, hive_partitioning = false)"
        types = {name: type_ for name, type_, *_ in self._writer.execute(f"describe from {there}").fetchall()}
        selected = ", ".join(f"{_value(name, types.get(name))} as {identifier(name)}" for name in names)
        return f"from (select {selected} from {there})"

    def _place(self, files: Sequence[Path], not_asked_for: Sequence[str]) -> None:
        with self._told(NotTaken, "no_connection"):
            folder = self._folder()
        try:
            with self._told(NotTaken, "no_connection"):
                for file in files:
                    folder.tidy(file.name)
            with self._told(LostAnswer, "upload_lost"):
                for file in files:
                    folder.place(file, file.name)
                for name in not_asked_for:
                    folder.tidy(name)
                    folder.remove(name)
        finally:
            folder.close()

    def _folder(self) -> Folder:
        if self._is_local:
            return LocalFolder(self._work)
        from orchestration.activation.folders.remote import S3Folder, SftpFolder

        if self._url.scheme == "s3":
            key, secret = self.secret("key_env"), self.secret("secret_env")
            return S3Folder(self._url, self.name, key, secret, self.given, self.patience)
        kinds = [kind for kind in ("password", "private_key") if f"{kind}_env" in self.given]
        login = {kind: self.secret(f"{kind}_env") for kind in kinds}
        return SftpFolder(self._url, self.name, login, self.given, self.patience)

    @contextmanager
    def _told(self, error: Callable[[str], NotTaken | LostAnswer], code: str) -> Iterator[None]:
        """Say what libraries raise in the words of a destination, and nothing of their text."""
        if self._is_local:
            yield
            return
        from orchestration.activation.folders.remote import OF_SETTINGS, ON_THE_WAY

        try:
            yield
        except OF_SETTINGS as found:
            raise WrongSettings(
                f"{self.name}: the server refuses the key, the path or our trust in it ({type(found).__name__}).",
                "Look at url, at the secrets and the rights that go with them, and at host_key or known_hosts.",
            ) from None
        except ON_THE_WAY as found:
            raise error(as_code(f"{code}:{type(found).__name__}")) from None


def _wrong_place(options: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the address, and with the options that go with its kind."""
    parts, given = split_url(options), set(options)
    login = {"password_env", "private_key_env"}
    trust = {"host_key", "known_hosts"}
    of_s3 = {"key_env", "secret_env", "endpoint_url", "region"}
    if ".." in re.split(r"[/\\]", unquote(str(options.get("url", "")))):
        return [Problem(("options", "url"), "must not go up with ..")]
    if parts.password is not None or parts.query or parts.fragment:
        return [Problem(("options", "url"), "must hold no ?, # or password; name an environment variable for that")]
    problems = [
        Problem(("options", option), "write the name of an environment variable (A-Z, 0-9, _), never the secret itself")
        for option in sorted(given & {*_SECRETS})
        if not _VARIABLE.fullmatch(str(options[option]))
    ]
    if parts.scheme == "s3" and parts.netloc:
        foreign = login | trust
        missing = sorted({"key_env", "secret_env"} - given)
        problems += [Problem(("options", one), "must name the environment variable with it") for one in missing]
        endpoint = split_url(options, "endpoint_url")
        if "endpoint_url" in given and endpoint.scheme != "https" and endpoint.hostname not in LOOPBACK:
            problems.append(Problem(("options", "endpoint_url"), "must be an https address"))
    elif parts.scheme == "sftp" and parts.hostname and parts.username:
        foreign = of_s3
        if len(login & given) != 1:
            problems.append(Problem(("options", "password_env"), "give it or private_key_env, and not both"))
        if len(trust & given) != 1:
            problems.append(Problem(("options", "host_key"), "give it or known_hosts: a server is not trusted without"))
    elif not parts.scheme and not parts.netloc and parts.path:
        foreign = of_s3 | login | trust
    else:
        return [Problem(("options", "url"), "must be a folder, s3://bucket/prefix or sftp://user@host:port/path")]
    return problems + [Problem(("options", one), "does not go with this url") for one in sorted(foreign & given)]


def _value(name: str, type_: str | None) -> str:
    if type_ is None:
        return "cast(null as varchar)"
    column = identifier(name)
    return f"case when isfinite({column}) then {column} end" if type_ == "DOUBLE" else column


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
