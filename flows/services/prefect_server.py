"""The Prefect server of a home.

Prefect's own temporary server belongs to one process: two trainings would run two servers on one
SQLite file, and a killed training would leave its server behind.
"""

from flows.services.credentials import api_secret
from flows.services.home_server import HomeServer, Service
from tasks.addresses import sqlite_url
from tasks.home import Home


def environment(home: Home) -> dict[str, str]:
    """Settings of Prefect's server and clients in this home."""
    folder = home.folder("prefect")
    settings = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_AUTH_STRING": api_secret(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_API_URL": "/api",
        "DO_NOT_TRACK": "true",
    }
    if "?" in str(folder):  # Prefect itself would end the path there.
        database = sqlite_url(folder / "prefect.db", "sqlite+aiosqlite")
        settings["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    return settings


SERVER = HomeServer(
    Service("prefect", "Prefect server", "flows.services.prefect_process", "/api", environment)
)
