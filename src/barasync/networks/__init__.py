"""What a policy means for packets and names, and how it comes into force for a container."""
