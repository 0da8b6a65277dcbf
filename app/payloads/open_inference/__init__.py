"""Bodies of the Open Inference Protocol V2: JSON, tensors in binary behind it, or the bytes of one tensor alone."""
