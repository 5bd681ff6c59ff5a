"""The command line: options in, results out, no logic."""
