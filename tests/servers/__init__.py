"""Scenes of several servers: a primary with replicas and sentinels, and a Cluster; with TLS and users, too."""
