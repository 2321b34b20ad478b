"""What is read and written: connections, tables, types."""
