"""What a person reads of an archive, as plain text or JSON. Builds strings from records; prints nothing."""
