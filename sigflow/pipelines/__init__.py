"""The Ray shell: what spreads the story over a cluster. Everything that it calls works without Ray."""
