"""Videos to landmarks: model files, decoding, MediaPipe, whose hand is whose, and rows of the Parquet contract."""
