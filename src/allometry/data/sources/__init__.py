"""Where images come from: the built-in icons, or folders; each gives a `Dataset`."""
