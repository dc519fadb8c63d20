module strait.bench/peers

go 1.21
