"""Real orders in the raw contract: CDNOW and Online Retail II, and the RFM table that comes of them."""
