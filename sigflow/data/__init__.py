"""Parquet to clips, folds and padded batches."""
