"""What the running process does besides recording: its schedule, and each job."""
