"""What came of it: statistics of a build that SQL would be strange for, computed when dbt has built everything."""
