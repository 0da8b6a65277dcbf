"""`./kiln load`: response time and throughput against the number of users, as a report."""
