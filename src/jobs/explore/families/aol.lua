-- AOL (Prach and Lampert, ECCV 2022): row sums of |WᵀW|.
return row_sums(abs(g))
