"""Features to logits. Each model's config stands beside it; padding never changes an answer; all export to ONNX."""
