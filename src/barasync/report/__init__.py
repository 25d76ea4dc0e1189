"""What a person and a program see of a run: its record, the console, the summary."""
