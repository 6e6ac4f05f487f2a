module turnkey/bench/peers

go 1.19
