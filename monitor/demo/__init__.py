"""What `monitor demo` shows when there is no feed yet: an invented world with two crises."""
