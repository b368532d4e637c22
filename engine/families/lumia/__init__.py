"""The bundled painter, lumia: a prompt becomes words and colors that it knows, picture tokens follow them."""
