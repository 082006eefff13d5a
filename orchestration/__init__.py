"""The pipeline: what Dagster runs, one folder a stage."""
