"""Who is asked about an asset."""

OWNERS = ["team:data-engineering"]
