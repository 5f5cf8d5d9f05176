"""What a mathematical answer says, and whether two of them are equal (docs/grading.md)."""
