"""Training here against TRL's trainers: tokens a second, time to the first step, and memory."""
