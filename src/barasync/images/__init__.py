"""Where images come from: made from packages, found locally, pulled; and whether they can run."""
