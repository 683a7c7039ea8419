"""ONNX Runtime: sessions, its execution providers, and what they really run."""
