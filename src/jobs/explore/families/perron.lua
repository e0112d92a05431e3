-- The best q for the largest entry: about the Perron vector p of |WᵀW|. Any p > 0 keeps the claim.
local p = perron(abs(g))
return largest(matmul(abs(g), p) / p)
