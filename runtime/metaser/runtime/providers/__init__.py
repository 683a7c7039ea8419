"""ONNX Runtime: sessions, its execution providers, and which operators each of them ran."""
