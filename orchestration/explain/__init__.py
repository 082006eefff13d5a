"""What is known of one user as of a date, in words: segments, contacts, caps, channels, campaigns."""
