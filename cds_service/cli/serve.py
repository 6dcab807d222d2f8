"""`cds-service serve`: the service alone, with the settings of the environment."""

import logging

import typer
import uvicorn

from cds_service.app import build_app
from cds_service.settings import Settings, load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve() -> None:
    """Start the service. Settings come from the environment and .env; .env.example lists them all."""
    settings = load_settings()
    configure_logging(settings.log_level)
    server(settings).run()


def server(settings: Settings) -> uvicorn.Server:
    """The web server around the application, ready to run. Raises a Refusal when it must not start."""
    config = uvicorn.Config(
        build_app(settings),
        host=settings.host,
        port=settings.port,
        # An access log holds URLs; ours are written by the application, without them.
        access_log=False,
        log_config=None,
        server_header=False,
    )
    return uvicorn.Server(config)


def configure_logging(level: str) -> None:
    """One line per event on stderr. No level writes patient data."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
