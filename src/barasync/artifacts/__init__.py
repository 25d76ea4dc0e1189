"""What comes out of a container: fetched, checked, and put in place whole or not at all."""
