"""What Settings does behind its screen: the rows, their changes, the doctor."""
