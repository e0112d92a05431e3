-- Two steps of Gram iteration (Delattre et al., 2024): roots of the row sums of |(WᵀW)²|.
return sqrt(row_sums(abs(matmul(g, g))))
