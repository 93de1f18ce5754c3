"""A program: tfvae compared with its peers, all in one run. It sees everything; nothing imports it."""
