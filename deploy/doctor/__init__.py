"""`./kiln doctor`: do nginx, gunicorn, the settings, systemd and the machine fit each other?

It reads the files that are in force and changes nothing; `nginx -t`, which it asks, may make nginx's logs and folders.
Each file in checks/ holds one part of the chain.
"""
