"""The two terminal front ends: the full-screen app and the command line."""
