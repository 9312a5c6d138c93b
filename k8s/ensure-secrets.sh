#!/usr/bin/env bash
# Makes the Secrets that the charts name, where they are missing, with random content. What exists is kept; nothing is
# printed but names. Content goes to kubectl by its standard input, so no list of processes shows it.
#
#   KUBE_CONTEXT (or Skaffold's SKAFFOLD_KUBE_CONTEXT)   context; the current one without it
#   PLATFORM_NAMESPACE, FLOWS_NAMESPACE                  taxi-platform and taxi-flows without them
set -euo pipefail

context=${KUBE_CONTEXT:-${SKAFFOLD_KUBE_CONTEXT:-}}
platform=${PLATFORM_NAMESPACE:-taxi-platform}
flows=${FLOWS_NAMESPACE:-taxi-flows}

kube() { kubectl ${context:+--context "$context"} "$@"; }

exists() { [ -n "$(kube get "$1" "$2" --namespace "$3" --ignore-not-found --output name)" ]; }

# Letters and digits alone: the values become parts of URLs.
random() { LC_ALL=C tr -dc 'A-Za-z0-9' < /dev/urandom 2> /dev/null | head -c "$1" || true; }

# create NAMESPACE NAME KEY=VALUE...
create() {
  local namespace=$1 name=$2 pair
  shift 2
  {
    printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\n' "$name" "$namespace"
    printf '  labels: {app.kubernetes.io/part-of: taxi-flows}\nstringData:\n'
    for pair in "$@"; do printf '  %s: "%s"\n' "${pair%%=*}" "${pair#*=}"; done
  } | kube create --filename - > /dev/null
  echo "created Secret $name in $namespace"
}

# ensure NAMESPACE NAME KEY=VALUE...: the values are used only where there is no such Secret yet
ensure() { exists secret "$2" "$1" || create "$@"; }

# copy NAME KEY...: the same content in the namespace of flows, also where it was changed
copy() {
  local name=$1 key value
  shift
  {
    printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\n' "$name" "$flows"
    printf '  labels: {app.kubernetes.io/part-of: taxi-flows}\ndata:\n'
    for key in "$@"; do
      value=$(kube get secret "$name" --namespace "$platform" --output "go-template={{index .data \"$key\"}}")
      printf '  %s: %s\n' "$key" "$value"
    done
  } | kube apply --server-side --force-conflicts --field-manager ensure-secrets --filename - > /dev/null
}

if ! exists secret postgresql "$platform"; then
  if exists persistentvolumeclaim data-postgresql-0 "$platform"; then
    cat >&2 << MESSAGE
error: the volume data-postgresql-0 in $platform holds a database, and the Secret postgresql with its password is gone.
A new password would lock everybody out of it. Either restore the Secrets postgresql and prefect-server-database (from
where you keep them), or, to lose the database, delete the volume:
  kubectl delete persistentvolumeclaim data-postgresql-0 --namespace $platform
MESSAGE
    exit 1
  fi
  if exists secret prefect-server-database "$platform"; then
    kube delete secret prefect-server-database --namespace "$platform" > /dev/null # of a database that is gone
  fi
  create "$platform" postgresql username=prefect "password=$(random 32)"
fi

if ! exists secret prefect-server-database "$platform"; then
  password=$(kube get secret postgresql --namespace "$platform" --output 'go-template={{.data.password | base64decode}}')
  create "$platform" prefect-server-database \
    "connection-string=postgresql+asyncpg://prefect:$password@postgresql:5432/prefect"
fi

ensure "$platform" minio-root "rootUser=root-$(random 8)" "rootPassword=$(random 32)"
for user in flows people backup; do
  ensure "$platform" "minio-$user" "MINIO_ACCESS_KEY=$user-$(random 8)" "MINIO_SECRET_KEY=$(random 32)"
done
ensure "$platform" prefect-auth "auth-string=admin:$(random 32)"
ensure "$platform" grafana-admin admin-user=admin "admin-password=$(random 32)"

copy minio-flows MINIO_ACCESS_KEY MINIO_SECRET_KEY
copy prefect-auth auth-string
