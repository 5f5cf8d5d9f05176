"""What every room uses: errors, parameters, table schemas, Parquet files, paths, console."""
