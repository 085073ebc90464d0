"""The command line: everything the app does, without the app. One small file for each group of sub-commands."""
