"""Studies of mean-field algorithms: `mean-field/ising`, `mean-field/squeeze`."""
