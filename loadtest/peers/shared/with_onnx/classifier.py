"""The model in ONNX Runtime. `MODEL` is the path of a .onnx file."""

import os

import onnxruntime
from picture import to_answer, to_batch


class Classifier:
    """One thread, because each server runs a process a core. A session may be used by several threads at a time."""

    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        self.input = self.session.get_inputs()[0].name

    def classify(self, image):
        """A picture that Pillow has opened -> its label and the score."""
        scores = self.session.run(None, {self.input: to_batch(image)})[0]
        return to_answer(scores[0])
