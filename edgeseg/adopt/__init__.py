"""A plain ONNX model of a user's own, wrapped as a model of edgeseg."""
