"""The shape that a network expects of images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import DataError

__all__ = ["fit_images"]


def fit_images(images: NDArray[np.uint8], input_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the images in the shape that a network takes.

    A network that takes vectors, whose input shape is ``(1, 1, n)``, takes any image of n pixels, row-major.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, channels, height, width)
    input_shape : (int, int, int)
        Channels, height, width.

    Raises
    ------
    DataError
        If the images have another type or shape.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        needed = "uint8 of shape (n, channels, height, width)"
        raise DataError(f"images must be {needed}, not {images.dtype} of shape {images.shape}")
    if input_shape[:2] == (1, 1) and math.prod(images.shape[1:]) == input_shape[2]:
        return images.reshape(-1, *input_shape)
    if images.shape[1:] != tuple(input_shape):
        raise DataError(
            f"images of the network must have the shape {tuple(input_shape)} (channels, height, width), "
            f"not {images.shape[1:]}"
        )
    return images
