#!/usr/bin/env python3
"""other-architecture.py LAYOUT ARCHITECTURE: makes the one image of an OCI layout say that it is for another machine."""
import hashlib, json, os, sys
layout, architecture = sys.argv[1:]
path = lambda digest: os.path.join(layout, "blobs", *digest.split(":"))
def put(value):
    text = json.dumps(value).encode()
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    open(path(digest), "wb").write(text)
    return digest, len(text)
index = json.load(open(os.path.join(layout, "index.json")))
entry = index["manifests"][0]
manifest = json.load(open(path(entry["digest"])))
config = json.load(open(path(manifest["config"]["digest"])))
config["architecture"] = architecture
manifest["config"]["digest"], manifest["config"]["size"] = put(config)
entry["digest"], entry["size"] = put(manifest)
entry["platform"] = {"os": "linux", "architecture": architecture}
json.dump(index, open(os.path.join(layout, "index.json"), "w"))
