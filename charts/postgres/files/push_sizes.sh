#!/usr/bin/env bash
# Push the size of the database and of its volume to the Pushgateway HOST:PORT; a failure is a line in the log.
# By bash alone: the image has no program that speaks HTTP.
set -o pipefail

push() {
  local database volume body answer
  database=$(psql --no-align --tuples-only --command="SELECT pg_database_size(current_database())")
  volume=$(numfmt --from=auto "$VOLUME_SIZE")
  body="# TYPE postgres_database_size_bytes gauge
postgres_database_size_bytes $database
# TYPE postgres_volume_size_bytes gauge
postgres_volume_size_bytes $volume
"
  exec 3<> "/dev/tcp/${PUSHGATEWAY%:*}/${PUSHGATEWAY##*:}"
  printf 'PUT /metrics/job/postgresql HTTP/1.0\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s' \
    "$PUSHGATEWAY" "${#body}" "$body" >&3
  read -r -t 10 answer <&3
  echo "database: $database bytes, its volume: $volume; Pushgateway: $answer"
  [[ $answer == *" 200 "* ]]
}

(push) || echo "warning: sizes not pushed to $PUSHGATEWAY; the alert VolumeFillingUp knows nothing new of this database"
