#!/bin/sh
# A database at work: PostgreSQL with the tables of pgbench and one of hashes and numbers, after a
# while of pgbench; then it hibernates: a stream for the benchmark.

. /guest/lib.sh
export LC_ALL=C.UTF-8
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
set -- /usr/lib/postgresql/*/bin
bin=$1
data=/var/lib/postgresql/data

postgres() {
    su postgres -s /bin/sh -c "cd / && PATH=$bin:\$PATH $*"
}

postgres initdb -D $data >/run/initdb.log
options="-c shared_buffers=384MB -c listen_addresses= -c unix_socket_directories=/tmp"
postgres "pg_ctl -D $data -l /tmp/log -t 300 -w -o '$options -c fsync=off' start"
export PGHOST=/tmp
postgres createdb bench
postgres pgbench -i -q -s 25 bench
cat >/tmp/events.sql <<SQL
CREATE TABLE events AS
    SELECT n AS id, md5(n::text) AS token, now() - random() * interval '1 year' AS at,
        (random() * 1e6)::int AS amount, 'customer ' || (random() * 1e4)::int AS who
    FROM generate_series(1, 1000000) AS n;
CREATE INDEX ON events (token);
SQL
postgres psql -q -f /tmp/events.sql bench
postgres pgbench -c 4 -T 60 bench

report "database $(free -m | tr -s ' \n' ' ')"
report "$(ps -eo rss=,comm= --sort=-rss | head -n 12 | tr -s ' \n' ' ')"
swapon /dev/vdb
torpor hibernate --image-size 3G
report "hibernate-exit code=$?"
