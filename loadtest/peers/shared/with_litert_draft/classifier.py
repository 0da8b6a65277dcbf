"""The model in LiteRT, with the mode of Pillow that spares a JPEG's decoder what the resize would throw away."""

from picture import SIZE
from with_litert.classifier import Classifier as PlainClassifier


class Classifier(PlainClassifier):
    """The scores differ a little: the picture is scaled in two steps."""

    def classify(self, image):
        """A picture that Pillow has opened -> its label and the score."""
        image.draft("RGB", SIZE)
        return super().classify(image)
