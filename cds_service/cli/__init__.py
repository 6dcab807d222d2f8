"""The command line `cds-service`: one small file per command group, registered in main.py."""
