#!/bin/bash
# Runs in the server's pod, as its superuser over the socket: when the server starts, and whenever the files of its
# Secrets change. Gives the owner's role its password and its rights, and takes rights from everybody that no role needs.
# Running it again changes nothing.
set -eu

sql() { psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --output=/dev/null --dbname="$POSTGRES_DB" "$@"; }

# In clusters of earlier versions the owner is the superuser that the cluster was created with, which cannot be
# demoted. It gets another name, and what it owned goes to a new owner. A session cannot rename its own role, so
# another superuser does it; he has no password, and so no way in over the network.
if sql --username=postgres --command='' 2>&1 | grep --quiet 'role "postgres" does not exist'; then
  sql --username=hello_owner --command='CREATE ROLE hello_upgrade SUPERUSER LOGIN' 2>/dev/null || true
  sql --username=hello_upgrade --single-transaction <<'SQL'
ALTER ROLE hello_owner RENAME TO postgres;
CREATE ROLE hello_owner;
DO $$
DECLARE
  owned record;
BEGIN
  FOR owned IN
    WITH objects AS (
      SELECT 'SCHEMA' AS kind, 'pg_namespace'::regclass AS class, oid, format('%I', nspname) AS name, oid AS schema
        FROM pg_namespace WHERE nspowner = 'postgres'::regrole
      UNION ALL
      SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
          WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, 'pg_class'::regclass, oid, oid::regclass::text, relnamespace
        FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND relowner = 'postgres'::regrole
      UNION ALL
      SELECT 'ROUTINE', 'pg_proc'::regclass, oid, oid::regprocedure::text, pronamespace
        FROM pg_proc WHERE proowner = 'postgres'::regrole
      UNION ALL
      SELECT CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, 'pg_type'::regclass, oid, oid::regtype::text, typnamespace
        FROM pg_type WHERE typtype IN ('d', 'e', 'r') AND typowner = 'postgres'::regrole
      UNION ALL
      SELECT 'LARGE OBJECT', 'pg_largeobject'::regclass, oid, oid::text, NULL
        FROM pg_largeobject_metadata WHERE lomowner = 'postgres'::regrole
    )
    SELECT kind, name FROM objects
    WHERE (schema IS NULL OR schema NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema'))
      -- Parts of an extension stay with it, and sequences follow the column that they belong to.
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = class AND d.objid = objects.oid AND d.objsubid = 0
        AND (d.deptype = 'e' OR (kind = 'SEQUENCE' AND d.deptype IN ('a', 'i'))))
  LOOP
    EXECUTE format('ALTER %s %s OWNER TO hello_owner', owned.kind, owned.name);
  END LOOP;
END
$$;
SQL
fi

sql --username=postgres --single-transaction <<'SQL'
-- The statement with the password reaches no log.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_duration_sample = -1;
SET log_transaction_sample_rate = 0;
SET log_min_error_statement = 'panic';
SET pg_stat_statements.track_utility = off;
SET client_min_messages = warning;
\set password `cat "$PASSWORDS/owner-password"`
DROP ROLE IF EXISTS hello_upgrade;
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hello_owner') AS missing \gset
\if :missing
CREATE ROLE hello_owner;
\endif
ALTER ROLE hello_owner NOSUPERUSER CREATEROLE LOGIN PASSWORD :'password';
-- The superuser is for this socket only.
ALTER ROLE postgres PASSWORD NULL;
-- The owner creates the other roles, and has to be able to change those that a superuser created.
SELECT format('GRANT %I TO hello_owner WITH ADMIN OPTION', rolname) FROM pg_roles WHERE rolname IN ('hello_app', 'hello_backup') \gexec
SELECT 'REVOKE pg_read_all_data FROM hello_backup' FROM pg_auth_members
  WHERE roleid = 'pg_read_all_data'::regrole AND member = to_regrole('hello_backup') \gexec
SELECT format('ALTER DATABASE %I OWNER TO hello_owner', current_database()) \gexec
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()) \gexec
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
-- No role can be given the right to read large objects of another one, and backups have to read everything.
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) TO hello_owner;
SELECT pg_reload_conf();
SQL
