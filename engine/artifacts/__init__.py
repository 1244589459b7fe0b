"""What a deployment works from, as plain data: `deploy.toml`, rendered configuration, manifests, locks and artifacts.

No Django, no SSH, nothing that changes a server. From the bottom up:

paths, patterns, problems      safe names, globs, mistakes that can be explained
manifest, tarstream            the files of a release, and how they travel
deploy_toml, rendering          what a project says about itself; its configuration per environment
source, git, selection         where files come from, and which of them form a release
lock, wheels                   dependencies with their hashes, and the wheels that satisfy them
reader, artifact, received     reading and building the one file that holds a release, and taking it from others
check, schema                  every mistake of a directory at once; the JSON schema for editors
"""
