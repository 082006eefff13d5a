"""The second stage: the lock, the files and dbt."""
