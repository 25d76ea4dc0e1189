"""The engine: which cell runs when, how an attempt goes, and what became of it."""
