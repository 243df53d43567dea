"""Views of an image: the center for evaluation, random variants for training."""
