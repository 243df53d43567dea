"""Views of a picture: the centre for evaluation, random variants for training."""
