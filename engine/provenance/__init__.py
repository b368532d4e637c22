"""Where a file comes from: keys, signed credentials, and what a verification says. Who asks for it is above."""
