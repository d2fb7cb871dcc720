"""The Open Inference Protocol, version 2, on a model server: named tensors, on the same batchers."""
