"""The bundled composer, aria: a prompt becomes a plan, score tokens follow it."""
