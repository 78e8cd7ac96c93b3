"""What people read: one module for each channel, over one view of an alert (`message`)."""
