"""Landmarks to features: batched torch functions, NaN meaning missing, one code for training and serving."""
