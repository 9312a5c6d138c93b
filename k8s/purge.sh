#!/usr/bin/env bash
# Delete everything, data too: `make purge`. It asks for the name of the kube context; YES=that name answers beforehand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

context=$(kubectl config current-context)
answer=${YES:-}
if [ -z "$answer" ]; then
  echo "This deletes the namespaces taxi-flows and taxi-platform of context $context: all months, records, runs and Secrets; and the kinds Experiment and ParameterSweep of the whole cluster."
  read -r -p "Type the name of the context to go on: " answer
fi
if [ "$answer" != "$context" ]; then
  echo "error: '$answer' is not the current context ($context); nothing was deleted" >&2
  exit 1
fi
./down.sh
kubectl delete crd experiments.taxi.flows parametersweeps.taxi.flows --ignore-not-found
kubectl delete --filename namespaces.yaml --ignore-not-found --wait
