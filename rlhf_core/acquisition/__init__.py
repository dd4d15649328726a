"""What a question is worth asking for: informativeness and diversity of candidates."""
