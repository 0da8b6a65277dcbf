"""What can go wrong with a picture, a bundle or a model. Each class has a stable code; HTTP statuses live in app."""

from __future__ import annotations


class ModelError(Exception):
    """A failure that the caller can be told about. `message` says what to do about it."""

    code = "model_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class PictureError(ModelError):
    """The bytes sent cannot be used as a picture."""

    code = "bad_image"


class EmptyPicture(PictureError):
    """No bytes at all."""

    code = "empty_image"


class NotAPicture(PictureError):
    """The bytes are not a picture in any format known here."""

    code = "not_an_image"


class UnsupportedPicture(PictureError):
    """A picture, in a format or colour mode that is not served."""

    code = "unsupported_image_format"


class BrokenPicture(PictureError):
    """A picture that ends early or is damaged."""

    code = "broken_image"


class PictureTooSmall(PictureError):
    """Fewer pixels than say anything."""

    code = "image_too_small"


class PictureTooLarge(PictureError):
    """More pixels than the limit, or more passes over them, found before decoding."""

    code = "image_too_large"


class BundleError(ModelError):
    """A bundle on disk is incomplete, damaged or not what its manifest says."""

    code = "bad_bundle"


class BadServing(ModelError):
    """A model's serving.json is not what it should be; what was in force stays in force."""

    code = "bad_serving_file"


class UnknownModel(ModelError):
    """No model of that name in the store."""

    code = "model_not_found"


class UnknownVersion(UnknownModel):
    """The model is there, and has no version of that number or label."""

    code = "version_not_found"


class ModelNotReady(ModelError):
    """The version exists and is not AVAILABLE (yet, or for a reason that the message gives)."""

    code = "model_not_ready"


class Overloaded(ModelError):
    """More work waits than will be done in time; nothing of this request was begun."""

    code = "overloaded"


class EngineMissing(ModelError):
    """The engine asked for is unknown, not in the bundle, or its package is not installed."""

    code = "engine_missing"
