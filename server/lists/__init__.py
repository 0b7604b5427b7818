"""Lists people bring along from elsewhere: read, matched with the catalogue, written into their library."""
