"""How programs ask: native, Open Inference Protocol, video, stream."""
