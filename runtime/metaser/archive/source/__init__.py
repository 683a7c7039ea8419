"""What is to be labelled: units of recordings, from files, folders and manifests."""
