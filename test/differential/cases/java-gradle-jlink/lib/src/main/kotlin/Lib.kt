val answer = 42
