"""Folders at S3 and at an SFTP server, through fsspec. Imported only where one is used: its libraries take a while."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote

import asyncssh
import fsspec
import stamina
from asyncssh.sftp import SFTPOpUnsupported, SFTPPermissionDenied
from botocore.exceptions import BotoCoreError, ClientError
from sshfs import SSHFileSystem

from orchestration.activation.destinations.client import LOOPBACK
from orchestration.activation.destinations.interface import Patience, WrongSettings
from orchestration.activation.destinations.options import split_url
from orchestration.activation.folders.local import Folder

#: At DEBUG they print requests with their bodies, and those hold addresses.
for _name in ("asyncssh", "botocore", "aiobotocore", "boto3", "s3fs", "fsspec", "fsspec.s3", "sshfs", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)

#: What goes wrong on the way to a folder, and may go right the next time.
ON_THE_WAY = (OSError, BotoCoreError, ClientError, asyncssh.Error)
#: What only a person can mend: rights, a key, a bucket or a path.
OF_SETTINGS = (
    PermissionError,
    FileNotFoundError,
    NotADirectoryError,
    SFTPPermissionDenied,
    asyncssh.HostKeyNotVerifiable,
    asyncssh.PermissionDenied,
)
#: Bytes of one part of an upload, the least that S3 takes. Parts go one at a time: an upload takes this much memory.
_PART = 5 * 2**20
_SFTP_PORT = 22


class S3Folder(Folder):
    """A prefix of a bucket. An upload is there when it is completed, in one part or many."""

    def __init__(
        self, url: SplitResult, name: str, key: str, secret: str, given: Mapping[str, Any], patience: Patience
    ) -> None:
        self._bucket = url.netloc
        self._prefix = "/".join(part for part in (url.path.strip("/"), name) if part)
        is_here = split_url(given, "endpoint_url").hostname in LOOPBACK
        self._fs = fsspec.filesystem(
            "s3",
            key=key,
            secret=secret,
            endpoint_url=given.get("endpoint_url"),
            client_kwargs={"region_name": given["region"]} if "region" in given else {},
            config_kwargs={
                "connect_timeout": patience.timeout,
                "read_timeout": patience.timeout,
                "retries": {"total_max_attempts": patience.attempts, "mode": "standard"},
                **({"proxies": {}} if is_here else {}),
            },
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self._fs.retries = 1  # botocore tries again itself

    def tidy(self, name: str) -> None:
        """Abort uploads of the file that were never completed, if the key has the right to."""
        with suppress(PermissionError):
            said = self._fs.call_s3("list_multipart_uploads", Bucket=self._bucket, Prefix=self._key(name))
            for upload in said.get("Uploads") or []:
                if upload["Key"] == self._key(name):
                    found = {"Bucket": self._bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                    self._fs.call_s3("abort_multipart_upload", **found)

    def place(self, file: Path, name: str) -> None:
        """Upload the file."""
        self._fs.put_file(str(file), f"{self._bucket}/{self._key(name)}", chunksize=_PART, max_concurrency=1)

    def remove(self, name: str) -> None:
        """Delete the file."""
        self._fs.call_s3("delete_object", Bucket=self._bucket, Key=self._key(name))

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}"


class SftpFolder(Folder):
    """A folder of an SFTP server whose key is known. A file is uploaded under another name, then renamed."""

    def __init__(
        self, url: SplitResult, name: str, login: Mapping[str, str], given: Mapping[str, Any], patience: Patience
    ) -> None:
        self._path = f"{unquote(url.path).rstrip('/')}/{name}"
        options: dict[str, Any] = {
            "port": url.port or _SFTP_PORT,
            "username": unquote(url.username or ""),
            "known_hosts": _known(name, given),
            # nothing of the machine's own: its keys, its agent, its configuration
            "config": None,
            "agent_path": None,
            "client_keys": [_private_key(name, login["private_key"])] if "private_key" in login else None,
            "password": login.get("password"),
            "connect_timeout": patience.timeout,
            "login_timeout": patience.timeout,
            "keepalive_interval": patience.timeout / 3,
            "keepalive_count_max": 3,
            "skip_instance_cache": True,
        }
        for attempt in stamina.retry_context(
            on=lambda error: isinstance(error, ON_THE_WAY) and not isinstance(error, OF_SETTINGS),
            attempts=patience.attempts,
            timeout=None,
            wait_initial=patience.first_wait,
            wait_max=patience.longest_wait,
            wait_jitter=patience.first_wait,
        ):
            with attempt:
                self._fs: _Sftp | None = _Sftp(url.hostname, **options)

    def tidy(self, name: str) -> None:
        """Remove the upload that was never renamed."""
        self.remove(_half_made(name))

    def place(self, file: Path, name: str) -> None:
        """Upload the file, see that all of it is there, and rename it."""
        assert self._fs is not None
        there = f"{self._path}/{_half_made(name)}"
        self._fs.put_file(str(file), there)
        if self._fs.info(there)["size"] != file.stat().st_size:
            raise OSError("the upload is of another size")
        try:
            self._fs.replace(there, f"{self._path}/{name}")
        except SFTPOpUnsupported:
            raise WrongSettings(
                "The SFTP server can't replace a file in one step.",
                "Use a server that knows posix-rename@openssh.com, as OpenSSH does.",
            ) from None

    def remove(self, name: str) -> None:
        """Remove a file."""
        assert self._fs is not None
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._path}/{name}")

    def close(self) -> None:
        """Let go of the connection: it closes with its last user."""
        self._fs = None


class _Sftp(SSHFileSystem):
    """An SFTP server that replaces a file in one step, or says that it can't."""

    def replace(self, old: str, new: str) -> None:
        """Rename a file in place of another; mv would copy where the server can't."""
        fsspec.asyn.sync(self.loop, self._replace, old, new)

    async def _replace(self, old: str, new: str) -> None:
        async with self._pool.get() as channel:
            await channel.posix_rename(old, new)


def _half_made(name: str) -> str:
    return f".{name}.tmp"


def _known(name: str, given: Mapping[str, Any]) -> Any:
    if "known_hosts" in given:
        return str(Path(given["known_hosts"]).expanduser())
    try:
        return [asyncssh.import_public_key(given["host_key"])], [], []
    except asyncssh.KeyImportError:
        raise WrongSettings(
            f"{name}: host_key is no public key.", "Write it as `ssh-keyscan` prints it: ssh-ed25519 AAAA…"
        ) from None


def _private_key(name: str, text: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(text)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise WrongSettings(
            f"{name}: what private_key_env names is no private key, or one with a passphrase.",
            "Put the whole text of a key without a passphrase into that variable, with its line ends.",
        ) from None
