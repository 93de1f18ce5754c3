"""The files that go into a bundle's `serving/`: the clients as they are, the others with their @TOKENS@ filled in."""
