"""What is held: models loaded, found by name and version, changed live, asked in batches."""
