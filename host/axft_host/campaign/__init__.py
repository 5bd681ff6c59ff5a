"""Campaigns: what is run, what came of it, what follows from it, and where it is kept."""
