"""The sync: sends the difference between what a provider has accepted and what the extracts hold."""
