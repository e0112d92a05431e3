-- T = ‖W‖² I, the norm as floats see it.
return spectral_norm(w) ^ 2
