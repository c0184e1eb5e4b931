"""The confusion matrix as an image for TensorBoard."""

import numpy as np

from sleepkd.training.confusion_image import confusion_image


def test_confusion_image_is_darker_for_larger_percentages():
    image = confusion_image(np.array([[9, 1], [0, 0]]), ("W", "REM"))
    assert image.dtype == np.uint8
    assert image.ndim == 3
    correct, wrong = image[76, 100].astype(int).sum(), image[76, 196].astype(int).sum()
    assert correct < wrong
