"""What each preset denies and allows."""
