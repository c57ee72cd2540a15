"""The beginnings of resources of each kind, to be continued by a test."""

HEAD = "apiVersion: mesh/v1\nkind: {kind}\nmetadata: {{name: x}}\n"
MODEL = HEAD.format(kind="Model")
SERVICE = HEAD.format(kind="Service")
PIPELINE = HEAD.format(kind="Pipeline")
SITE = HEAD.format(kind="Site")
GOOD_SERVICE = "spec: {sites: [a], model: m@1, "
GOOD_PIPELINE = "spec: {sites: [a], source: s, service: f, "
