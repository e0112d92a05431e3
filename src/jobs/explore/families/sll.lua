-- SLL (Araujo et al., ICLR 2023): row sums weighted with any positive q.
return matmul(abs(g), q) / q
