-- T = ‖W‖_F² I.
return norm(w) ^ 2
