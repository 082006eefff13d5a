"""What stands for a user_id in the files that others open."""

from __future__ import annotations

import hashlib
import hmac


def keyed_hash(user_id: str, hash_key: str) -> str:
    """Return what stands for a user_id in the files that others open: HMAC-SHA-256, as hex digits."""
    return hmac.new(hash_key.encode(), user_id.encode(), hashlib.sha256).hexdigest()
