#!/bin/sh
# Buckets, users, policies and lifecycle rules. Run again, it changes nothing that is as it should be.
# mc's image holds a shell and coreutils, no grep, sed or awk.
set -eu

export MC_CONFIG_DIR=/tmp/mc

echo "waiting for $ENDPOINT"
tries=0
until printf '%s\n%s\n' "$ROOT_USER" "$ROOT_PASSWORD" | mc --quiet alias set store "$ENDPOINT" > /tmp/answer 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge 60 ]; then
    echo "no answer within two minutes, the last one:" >&2
    cat /tmp/answer >&2
    exit 1
  fi
  sleep 2
done

# With locks, though nothing is locked: MinIO then refuses a forced deletion, which takes old versions with it. A bucket
# that is there without stays so.
for bucket in "$DATA_BUCKET" "$EXPERIMENTS_BUCKET" "$BACKUPS_BUCKET"; do
  mc --quiet mb --ignore-existing --with-lock "store/$bucket"
done
# What is deleted or overwritten stays as an old version, which none of the users below may delete.
for bucket in "$DATA_BUCKET" "$EXPERIMENTS_BUCKET" "$BACKUPS_BUCKET"; do
  mc --quiet version enable "store/$bucket"
done
mc --quiet ilm rule import "store/$DATA_BUCKET" < /setup/lifecycle-data.json
mc --quiet ilm rule import "store/$BACKUPS_BUCKET" < /setup/lifecycle-backups.json
mc --quiet ilm rule import "store/$EXPERIMENTS_BUCKET" < /setup/lifecycle-experiments.json

# users_of POLICY: access keys that have it, one a word.
users_of() {
  mc --json admin policy entities store --policy "$1" > /tmp/entities
  users=$(cat /tmp/entities)
  case $users in
    *'"users"'*'['*) ;;
    *) return 0 ;;
  esac
  users=${users#*'"users"'*'['}
  users=${users%%']'*}
  (IFS='", '; for key in $users; do [ -z "$key" ] || echo "$key"; done)
}

# user POLICY ACCESS_KEY SECRET_KEY FORMER_KEY: the user with this policy, and no other one with it, but for the former
# one while its Secret names it: flow runs that started with its keys go on.
user() {
  mc --quiet admin policy create store "$1" "/setup/policy-$1.json"
  printf '%s\n%s\n' "$2" "$3" | mc --quiet admin user add store > /tmp/answer 2>&1 || { cat /tmp/answer >&2; exit 1; }
  attached=
  for key in $(users_of "$1"); do
    if [ "$key" = "$2" ]; then
      attached=yes
    elif [ "$key" = "$4" ]; then
      echo "kept the former user of policy $1"
    else
      mc --quiet admin user remove store "$key" > /tmp/answer 2>&1 || { cat /tmp/answer >&2; exit 1; }
      echo "removed the former user of policy $1"
    fi
  done
  [ -n "$attached" ] || mc --quiet admin policy attach store "$1" --user "$2" > /tmp/answer 2>&1 ||
    { cat /tmp/answer >&2; exit 1; }
}
user flows "$FLOWS_ACCESS_KEY" "$FLOWS_SECRET_KEY" "${FLOWS_FORMER_KEY:-}"
user people "$PEOPLE_ACCESS_KEY" "$PEOPLE_SECRET_KEY" "${PEOPLE_FORMER_KEY:-}"
user backup "$BACKUP_ACCESS_KEY" "$BACKUP_SECRET_KEY" "${BACKUP_FORMER_KEY:-}"

echo "buckets, their versions, users, policies and lifecycle rules are as declared"
