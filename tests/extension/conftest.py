# Modules as a user's own would be: tests name them to the library, and none is imported before.
collect_ignore_glob = ["*_plugin.py"]
