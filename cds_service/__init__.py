"""Clinical decision support for ketamine and esketamine in depression, as a CDS Hooks service."""

__version__ = "0.1.0"
