"""From many recordings to tables: work list, processes, shards, resume, a cluster."""
