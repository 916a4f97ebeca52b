"""The equations as a program: one lowering, printed in a language of arrays, and the printed text run."""
