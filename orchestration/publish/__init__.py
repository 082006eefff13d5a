"""The third stage: the build becomes the published file."""
