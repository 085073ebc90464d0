"""The decisions of the loop: capture, validate, select, train, prove, release. No terminal code lives here."""
