#!/usr/bin/env bash
# Install the stack: `make up`. Arguments go to `skaffold run`, such as --profile small.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# need TOOL ADDRESS
need() { command -v "$1" > /dev/null || { echo "error: $1 is not on PATH. Install it: $2" >&2; exit 1; }; }
need docker https://docs.docker.com/engine/install/
need kubectl https://kubernetes.io/docs/tasks/tools/
need helm https://helm.sh/docs/intro/install/
need skaffold https://skaffold.dev/docs/install/

if ! context=$(kubectl config current-context 2> /dev/null); then
  need kind https://kind.sigs.k8s.io/docs/user/quick-start/
  echo "No kube context: creating the kind cluster taxi-flows ..."
  kind create cluster --config k8s/kind.yaml
  context=$(kubectl config current-context)
fi
echo "Installing into the cluster of context $context ..."

if ! skaffold run "$@"; then
  for namespace in taxi-platform taxi-flows; do
    echo >&2
    echo "Pods of $namespace that are not ready, and what their images and probes met with:" >&2
    kubectl get pods --namespace "$namespace" | awk '{split($2, ready, "/"); if (NR == 1 || ready[1] != ready[2]) print}' >&2
    kubectl get events --namespace "$namespace" --field-selector type=Warning,involvedObject.kind=Pod \
      --output 'custom-columns=POD:.involvedObject.name,REASON:.reason,MESSAGE:.message' | tail -n 20 >&2
  done
  exit 1
fi

cat << 'NEXT'

The stack is up. To use it from here:

  . .venv/bin/activate
  taxi-flows platform forward               # Prefect 4200, Grafana 3000, Prometheus 9090, Pushgateway 9091, MinIO 9000

and in another terminal:

  . .venv/bin/activate
  eval "$(taxi-flows platform env)"         # addresses and keys for this shell
  taxi-flows platform password prefect      # or grafana, or minio: what a page asks for
  taxi-flows data put FILE...               # the first month; or: taxi-flows data fetch yellow 2025-09
  prefect deployment run experiment_pipeline/default --param data_source=FILE --watch
NEXT
