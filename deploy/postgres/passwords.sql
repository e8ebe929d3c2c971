-- Reads the passwords of the roles from the files of secrets: as psql variables they are in no list of processes.
\set owner_password `cat "${SECRETS:-/run/secrets}/database_owner_password"`
\set web_password `cat "${SECRETS:-/run/secrets}/database_web_password"`
\set worker_password `cat "${SECRETS:-/run/secrets}/database_worker_password"`
\set sequencer_password `cat "${SECRETS:-/run/secrets}/database_sequencer_password"`
