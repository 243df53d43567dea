"""A run as data: the folder that a verb works in, and what is in it."""
