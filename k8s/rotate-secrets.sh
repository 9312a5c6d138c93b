#!/usr/bin/env bash
# Renews keys and passwords of the installed stack while runs go on (docs/operations/secrets.md).
#
#   k8s/rotate-secrets.sh minio             new keys for flow runs, people and the backup; the former ones go on working
#   k8s/rotate-secrets.sh minio --finish    removes the former ones, once no run has them
#   k8s/rotate-secrets.sh postgres          a new password of the database; Prefect's server restarts, runs wait for it
#   k8s/rotate-secrets.sh prefect           a new password of Prefect's API, between runs: new ones wait meanwhile
#
#   KUBE_CONTEXT                            context; the current one without it
#   PLATFORM_NAMESPACE, FLOWS_NAMESPACE     taxi-platform and taxi-flows without them
#   WAIT_SECONDS                            how long `prefect` waits for runs to end; 21600 without it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

platform=${PLATFORM_NAMESPACE:-taxi-platform}
flows=${FLOWS_NAMESPACE:-taxi-flows}

kube() { kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} "$@"; }

# Letters and digits alone: the values become parts of URLs.
random() { LC_ALL=C tr -dc 'A-Za-z0-9' < /dev/urandom 2> /dev/null | head -c "$1" || true; }

# held SECRET KEY: its content, empty where there is none
held() { kube get secret "$1" --namespace "$platform" --output "go-template={{with index .data \"$2\"}}{{. | base64decode}}{{end}}"; }

# set_keys SECRET KEY=VALUE...: by standard input, so no list of processes shows them
set_keys() {
  local secret=$1 pair
  shift
  {
    printf 'stringData:\n'
    for pair in "$@"; do printf '  %s: "%s"\n' "${pair%%=*}" "${pair#*=}"; done
  } | kube patch secret "$secret" --namespace "$platform" --type merge --patch-file /dev/stdin > /dev/null
  echo "renewed Secret $secret in $platform"
}

# Secrets that flow runs read are copied into their namespace.
copy_to_flows() { KUBE_CONTEXT=${KUBE_CONTEXT:-} PLATFORM_NAMESPACE=$platform FLOWS_NAMESPACE=$flows ./ensure-secrets.sh; }

# restart NAMESPACE WORKLOAD...: those that are there, since another chart may have taken the place of one of ours
restart() {
  local namespace=$1 workload there
  shift
  there=$(kube get "$@" --namespace "$namespace" --ignore-not-found --output name)
  for workload in $there; do kube rollout restart "$workload" --namespace "$namespace" > /dev/null; done
  for workload in $there; do kube rollout status "$workload" --namespace "$namespace" --timeout 600s; done
}

# Buckets and users as their Secrets have them: the Job that Helm runs after an upgrade, once more.
set_up_minio() {
  helm get hooks platform --namespace "$platform" ${KUBE_CONTEXT:+--kube-context "$KUBE_CONTEXT"} |
    kube replace --force --namespace "$platform" --filename - > /dev/null
  kube wait --for condition=Complete job/minio-setup --namespace "$platform" --timeout 300s > /dev/null || {
    kube logs job/minio-setup --namespace "$platform" >&2
    exit 1
  }
}

# annotate_flows CHANGE: of the Secret with the keys of flow runs
annotate_flows() { kube annotate secret minio-flows --namespace "$platform" --overwrite "taxi-flows/$1" > /dev/null; }

# MinIO takes the new keys before flow runs get them: a pod may have the former ones up to the time that is noted.
hand_on_keys() {
  set_up_minio
  copy_to_flows
  annotate_flows "handed-on-at=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
}

minio() {
  local user
  for user in flows people backup; do
    [ -z "$(held "minio-$user" formerAccessKey)" ] || {
      echo "error: the former key of minio-$user still works. Remove it first: k8s/rotate-secrets.sh minio --finish" >&2
      exit 1
    }
  done
  annotate_flows handed-on-at-
  for user in flows people backup; do
    set_keys "minio-$user" "formerAccessKey=$(held "minio-$user" MINIO_ACCESS_KEY)" \
      "MINIO_ACCESS_KEY=$user-$(random 8)" "MINIO_SECRET_KEY=$(random 32)"
  done
  hand_on_keys
  echo "New runs have the new keys; those under way go on with the former ones."
  echo "Once they have ended: k8s/rotate-secrets.sh minio --finish. People: eval \"\$(taxi-flows platform env)\" again."
}

handed_on_at() {
  kube get secret minio-flows --namespace "$platform" \
    --output 'go-template={{with .metadata.annotations}}{{with index . "taxi-flows/handed-on-at"}}{{.}}{{end}}{{end}}'
}

finish_minio() {
  local user with_former
  [ -n "$(handed_on_at)" ] || hand_on_keys # `minio` broke off before
  with_former=$(kube get pods --namespace "$flows" --selector app.kubernetes.io/component=flow-run \
    --field-selector status.phase!=Succeeded,status.phase!=Failed \
    --output 'go-template={{range .items}}{{.metadata.creationTimestamp}} {{.metadata.name}}{{"\n"}}{{end}}' |
    awk -v handed_on_at="$(handed_on_at)" '$1 <= handed_on_at {print $2}')
  if [ -n "$with_former" ]; then
    echo "error: these pods still have the former keys. Try again once they have ended:" >&2
    echo "$with_former" >&2
    exit 1
  fi
  for user in flows people backup; do
    printf 'data: {formerAccessKey: null}\n' |
      kube patch secret "minio-$user" --namespace "$platform" --type merge --patch-file /dev/stdin > /dev/null
  done
  set_up_minio
  echo "The former keys are removed."
}

# What is connected stays so: only new connections need the password, and those the restarted server makes.
postgres() {
  local password user
  user=$(held postgresql username)
  password=$(random 32)
  set_keys postgresql "password=$password"
  set_keys prefect-server-database "connection-string=postgresql+asyncpg://$user:$password@postgresql:5432/prefect"
  printf "ALTER ROLE \"%s\" PASSWORD '%s';\n" "$user" "$password" |
    kube exec --stdin statefulset/postgresql --namespace "$platform" -- psql --quiet --username "$user" --dbname postgres
  restart "$platform" deployment/prefect-server
}

# runs_of POOL...: Jobs of these work pools that have not ended
runs_of() {
  local pool
  for pool in "$@"; do
    kube get jobs --namespace "$flows" --selector "prefect.io/work-pool-name=$pool" \
      --output 'go-template={{range .items}}{{if .status.active}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}'
  done
}

# drain POOL...: no new runs, and wait for those under way
drain() {
  local pool deadline
  for pool in "$@"; do kube scale "deployment/worker-$pool" --namespace "$flows" --replicas 0 > /dev/null; done
  deadline=$((SECONDS + ${WAIT_SECONDS:-21600}))
  while [ -n "$(runs_of "$@")" ]; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "error: these runs have not ended: $(runs_of "$@")" >&2; exit 1; }
    sleep 5
  done
}

start_workers() {
  for pool in sequential parallel coordinator; do
    kube scale "deployment/worker-$pool" --namespace "$flows" --replicas 1 > /dev/null
  done
}

# Prefect's server knows one password, which a pod has from its start on: a run under way would be refused.
prefect() {
  trap start_workers EXIT
  echo "Waiting for runs to end; new ones wait in Prefect ..."
  drain coordinator # first: its runs wait for runs of the others
  drain sequential parallel
  set_keys prefect-auth "auth-string=admin:$(random 32)"
  copy_to_flows
  restart "$platform" deployment/prefect-server statefulset/prometheus-server
  restart "$flows" deployment/operator statefulset/exporter
  echo "Workers start again. People: eval \"\$(taxi-flows platform env)\" again."
}

case "$*" in
  minio) minio ;;
  "minio --finish") finish_minio ;;
  postgres) postgres ;;
  prefect) prefect ;;
  *)
    echo "usage: k8s/rotate-secrets.sh minio [--finish] | postgres | prefect" >&2
    exit 2
    ;;
esac
