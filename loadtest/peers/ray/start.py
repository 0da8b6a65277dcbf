"""What `serve run app:app` does, on the loopback address, without the dashboard and in a folder of its own.

No part of what a user writes. As a program: start.py PORT FOLDER
"""

import sys

import ray
from ray import serve

from app import app

if __name__ == "__main__":
    quiet = {"enable_access_log": False}
    ray.init(include_dashboard=False, _temp_dir=sys.argv[2])
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config=quiet)
    serve.run(app, route_prefix="/predict", logging_config=quiet, blocking=True)
