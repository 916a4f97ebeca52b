"""What people read: expressions and derivations as text and LaTeX."""
