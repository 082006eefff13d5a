"""A real S3 endpoint and a real SFTP server, both on loopback, that can be stopped in the middle of an upload."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import boto3
from moto.s3.models import FakeMultipart
from moto.server import ThreadedMotoServer


@dataclass
class Gate:
    """Holds an upload up: once it is shut, the first write that fits sets ``reached`` and waits until it is opened."""

    fits: str = ""
    after: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def shut(self, fits: str, after: int) -> None:
        """Hold up what is written to a name with ``fits`` in it, from so many bytes or parts on."""
        self.fits, self.after = fits, after
        self.reached.clear()
        self.opened.clear()

    def open(self) -> None:
        """Let everything through."""
        self.fits = ""
        self.opened.set()

    def holds(self, name: str, at: int) -> bool:
        """Whether a write must wait."""
        return bool(self.fits) and self.fits in name and at >= self.after


class S3:
    """moto's server with a bucket."""

    bucket, key, secret = "lists", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"

    def __init__(self) -> None:
        self.gate = Gate()

    @contextmanager
    def running(self) -> Iterator[S3]:
        """Start it, and stop it in the end."""
        set_part, gate = FakeMultipart.set_part, self.gate

        def gated(upload: FakeMultipart, part_id: int, value: bytes) -> Any:
            if gate.holds(upload.key_name, part_id):
                gate.reached.set()
                gate.opened.wait(20)
            return set_part(upload, part_id, value)

        FakeMultipart.set_part = gated
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            self.url = f"http://{host}:{port}"
            self.client = boto3.client(
                "s3",
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id=self.key,
                aws_secret_access_key=self.secret,
            )
            self.client.create_bucket(Bucket=self.bucket)
            yield self
        finally:
            gate.open()
            server.stop()
            FakeMultipart.set_part = set_part

    def files(self) -> dict[str, bytes]:
        """Return what the bucket holds."""
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {one["Key"]: self.client.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read() for one in listed}

    def half_made(self) -> list[str]:
        """Return the keys of uploads that are not completed."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]


class Sftp:
    """asyncssh's server with one user, who may come with a password or a key; ``root`` is all it shows."""

    user, password = "drop", "correct horse battery staple"

    def __init__(self, root: Path) -> None:
        self.root, self.gate = root, Gate()
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.can_replace = True

    @property
    def public_key(self) -> str:
        """The key by which the server is known."""
        return self.host_key.export_public_key().decode().strip()

    @contextmanager
    def running(self) -> Iterator[Sftp]:
        """Start it in a thread of its own, and stop it in the end."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)
        self.port = server.get_port()
        try:
            yield self
        finally:
            self.gate.open()

            async def stop() -> None:
                server.close()
                await server.wait_closed()

            asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        stand_in = self

        class Login(asyncssh.SSHServer):
            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == (stand_in.user, stand_in.password)

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return username == stand_in.user and key == stand_in.user_key.convert_to_public()

        class Files(asyncssh.SFTPServer):
            def __init__(self, channel: Any) -> None:
                super().__init__(channel, chroot=str(stand_in.root).encode())

            async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
                if stand_in.gate.holds(str(file_obj.name), offset):
                    stand_in.gate.reached.set()
                    while not stand_in.gate.opened.is_set():
                        await asyncio.sleep(0.01)
                return super().write(file_obj, offset, data)

            def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
                if not stand_in.can_replace:
                    raise asyncssh.SFTPOpUnsupported("no such extension")
                return super().posix_rename(oldpath, newpath)

        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Login, server_host_keys=[self.host_key], sftp_factory=Files
        )
