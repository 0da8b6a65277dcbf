"""The model in LiteRT. `MODEL` is the path of a .tflite file."""

import os
import threading

from ai_edge_litert.interpreter import Interpreter
from picture import to_answer, to_batch


class Classifier:
    """One thread, because each server runs a process a core. An interpreter holds its tensors, hence the lock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.interpreter = Interpreter(os.environ["MODEL"], num_threads=1)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.output = self.interpreter.get_output_details()[0]["index"]

    def classify(self, image):
        """A picture that Pillow has opened -> its label and the score."""
        batch = to_batch(image)
        with self.lock:
            self.interpreter.set_tensor(self.input, batch)
            self.interpreter.invoke()
            scores = self.interpreter.get_tensor(self.output)
        return to_answer(scores[0])
