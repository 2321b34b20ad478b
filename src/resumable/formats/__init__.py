"""What turns bytes into rows and back."""
