"""Wait until the database of the Prefect server takes connections; without it the server would fail and start again."""

import os
import socket
import time
from urllib.parse import urlsplit

database = urlsplit(os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"])
address = (database.hostname, database.port or 5432)
while True:
    try:
        socket.create_connection(address, timeout=5).close()
        break
    except OSError as error:
        print(f"waiting for {address[0]}:{address[1]}: {error}", flush=True)
        time.sleep(2)
