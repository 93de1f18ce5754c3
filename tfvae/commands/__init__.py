"""What each `tfvae` command does with its checked arguments: files in, pictures and tables out, and where they are."""
