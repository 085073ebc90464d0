"""What Scoreboard and Models read: tests, versions, comparisons, what served when."""
