"""The bytes of a request -> what a model takes: pictures or tensors."""
