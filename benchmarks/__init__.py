"""A program: tfvae beside its peers, all in one run. It sees everything; nothing imports it."""
