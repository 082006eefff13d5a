"""What a run did, and what it made, for people to look at."""
