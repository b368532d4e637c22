"""The verb `examine`: a picture compared with works that the user brings. It never says who made it."""
