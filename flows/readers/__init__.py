"""TLC's trip files, csv and parquet: dialects, columns, times, and streams of rows."""
