"""`python -m cds_service` is the command `cds-service`."""

from cds_service.cli.main import app

if __name__ == "__main__":
    app()
