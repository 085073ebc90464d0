"""The ground floor: one SQLite file, its schema, and frozen rows. No decisions live here."""
