"""Models built by Spark: what they read goes out as Parquet files, and what others read comes back."""
