#!/usr/bin/env bash
# Uninstall both releases: `make down`. Namespaces, volumes and Secrets stay, so `make up` finds all data again.
set -euo pipefail

for release in flows platform; do
  helm uninstall "$release" --namespace "taxi-$release" --ignore-not-found --wait
done
# Helm leaves what hooks made.
kubectl delete job register --namespace taxi-flows --ignore-not-found
kubectl delete job minio-setup --namespace taxi-platform --ignore-not-found
