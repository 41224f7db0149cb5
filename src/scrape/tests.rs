//! Scraping, apart from the network.
