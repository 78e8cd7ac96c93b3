"""x"""

def publish(*a, **k):
    raise SystemExit(9)
