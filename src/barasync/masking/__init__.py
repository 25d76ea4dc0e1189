"""Values that nobody is to read: the type that carries them, and `***` in their place."""
