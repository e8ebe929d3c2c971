-- The roles of a site and its database. Run by psql as a superuser, as often as one likes: it makes what is
-- missing, and sets passwords and rights again. Needs the psql variables owner_password, web_password,
-- worker_password and sequencer_password; `database` may name another database than muniment.
--
-- Nobody who serves people owns anything: tables belong to muniment_owner, which only migrations use.
\set ON_ERROR_STOP on
\if :{?database}
\else
    \set database muniment
\endif

-- A statement that fails is not written to the log, for it may hold a password.
SET log_min_error_statement = panic;
SET log_statement = none;
SET log_min_duration_statement = -1;
SET password_encryption = 'scram-sha-256';

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['muniment_owner', 'muniment_web', 'muniment_worker', 'muniment_sequencer']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE muniment_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE muniment_web LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'web_password';
ALTER ROLE muniment_worker LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'worker_password';
ALTER ROLE muniment_sequencer LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'sequencer_password';

SELECT format('CREATE DATABASE %I OWNER muniment_owner ENCODING ''UTF8'' TEMPLATE template0', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO muniment_owner, muniment_web, muniment_worker, muniment_sequencer;

\connect :"database"

ALTER SCHEMA public OWNER TO muniment_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO muniment_web, muniment_worker, muniment_sequencer;
