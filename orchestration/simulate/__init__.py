"""What other caps would have done to the contacts that were sent, beside those in force."""
