"""TensorFlow Serving's JSON: requests to tensors and pictures, outputs to answers. KServe V1 is a part of it."""
