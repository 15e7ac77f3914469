"""Complete outputs of any product, written by hand: small objects and the item that names them."""

import hashlib
import json

from ard.adapters.stac_item import MULTIHASH_SHA256
from ard.keys import data_key, item_key, relative_href
from ard.product import SPECS
from tests.factories import make_task


def put_output(store, task=None, *, without=(), item=True, **overrides):
    """Write the output of a task: one object per layer and a thumbnail; returns their keys by asset name.

    ``without`` names layers whose objects are left out; without ``item`` nothing says that the output exists.
    """
    task = task or make_task(**overrides)
    key, keys, assets = item_key(task.year, task.tile, task.product), {}, {}
    for name in (*SPECS[task.product], "thumbnail"):
        content = f"{task.task_id} {name}".encode()
        digest = hashlib.sha256(content).hexdigest()
        keys[name] = data_key(task.year, task.tile, name=name, sha256=digest, suffix="tif")
        checksum = MULTIHASH_SHA256 + digest
        assets[name] = {"href": relative_href(key, keys[name]), "file:size": len(content), "file:checksum": checksum}
        if name not in without:
            store.put(keys[name], content)
    properties = {"ttc:job_id": "earlier-0", "ttc:flags": [], "ttc:metrics": {}, "ttc:formats": list(task.formats)}
    if item:
        store.put(key, json.dumps({"properties": properties, "assets": assets}).encode())
    return {**keys, "item": key}


def change_content(store, key):
    """Other content of the same size."""
    store.put(key, bytes(byte ^ 1 for byte in store.get(key)))
