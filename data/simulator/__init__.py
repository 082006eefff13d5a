"""Makes landing files of an invented shop: who comes, buys, sleeps and leaves, and what they are sent."""
