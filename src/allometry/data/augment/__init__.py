"""Views of a picture: the center for evaluation, random variants for training."""
