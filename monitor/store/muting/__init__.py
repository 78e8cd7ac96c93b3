"""What people have said about alerts: silences and acknowledgements."""
