-- Wrong on purpose: AOL without the absolute values.
return row_sums(g)
