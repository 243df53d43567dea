"""Where images come from: the built-in icons, folders, manifests, shards, arrays; each gives a `Dataset`."""
