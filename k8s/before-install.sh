#!/usr/bin/env bash
# What has to be there before the releases: namespaces, a storage class, Secrets. Skaffold runs it before `platform`.
#
#   TAXI_STORAGE_CLASS   storage class of the volumes; the cluster's default without it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

context=${KUBE_CONTEXT:-${SKAFFOLD_KUBE_CONTEXT:-}}
wanted=${TAXI_STORAGE_CLASS:-}

kube() { kubectl ${context:+--context "$context"} "$@"; }

default='{{range .items}}{{if eq "true" (index .metadata.annotations "storageclass.kubernetes.io/is-default-class" | print)}}{{.metadata.name}}{{end}}{{end}}'
there=$(kube get storageclasses --output 'go-template={{range .items}}{{.metadata.name}} {{end}}')
if [ -n "$wanted" ]; then
  case " $there " in
    *" $wanted "*) ;;
    *)
      echo "error: there is no storage class $wanted (TAXI_STORAGE_CLASS). There are: ${there:-none}" >&2
      exit 1
      ;;
  esac
elif [ -z "$(kube get storageclasses --output "go-template=$default")" ]; then
  echo "error: the cluster has no default storage class. Name one with TAXI_STORAGE_CLASS. There are: ${there:-none}" >&2
  exit 1
fi

kube apply --filename namespaces.yaml > /dev/null
./ensure-secrets.sh
