{{- /*
What all charts share. In brackets: what a helper is called with; `.` is the caller's own scope.

  common.name (.)                        app.kubernetes.io/name, as the upstream chart of the same software has it
  common.selectorLabels (. COMPONENT)    what selectors ask for; never changes
  common.labels (. COMPONENT)            the same and what people search by
  common.required (. PATH VALUE HINT)    VALUE, or an error that names its path in the values and the hint
  common.flowsNamespace (.)              namespace of workers and runs
  common.pod (UID TOKEN)                 part of a pod's spec: token or not, no Service variables, Pod Security "restricted"
  common.container (.)                   securityContext of a container by Pod Security "restricted", nothing writable
  common.secretEnv (NAME SECRET KEY)     environment variable from a Secret
  common.httpProbes (PORT LIVE READY)    the three probes by HTTP; up to two minutes to start
  common.dataClaim (. PERSISTENCE)       volumeClaimTemplates with the claim `data`, which outlives the release; its class:
                                         its own, else the one of all charts, else the cluster's default
  common.telemetryFile (. PATH)          a file of dashboards or alerts, with this installation's links and waiting times
  common.dns (.)                         egress rule: names can be looked up, at the cluster's DNS alone
  common.kubernetesApi ()                egress rule: the Kubernetes API by its ports; its address differs from cluster to cluster
  common.pods (LABELS...)                peers in this namespace, one for each map of labels
  common.podsIn (NAMESPACE LABELS...)    the same in another namespace
*/ -}}

{{- define "common.name" -}}
{{- get (dict "postgres" "postgresql" "pushgateway" "prometheus-pushgateway") .Chart.Name | default .Chart.Name }}
{{- end }}

{{- define "common.selectorLabels" -}}
{{- $at := index . 0 -}}
app.kubernetes.io/name: {{ include "common.name" $at }}
app.kubernetes.io/instance: {{ $at.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "common.labels" -}}
{{- $at := index . 0 -}}
{{ include "common.selectorLabels" . }}
app.kubernetes.io/part-of: taxi-flows
app.kubernetes.io/managed-by: {{ $at.Release.Service }}
app.kubernetes.io/version: {{ $at.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" $at.Chart.Name $at.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "common.required" -}}
{{- $at := index . 0 -}}
{{- $path := index . 1 -}}
{{- if not $at.Chart.IsRoot }}{{ $path = printf "%s.%s" $at.Chart.Name $path }}{{ end -}}
{{- required (printf "%s is required: %s" $path (index . 3)) (index . 2) -}}
{{- end }}

{{- define "common.flowsNamespace" -}}
{{- (.Values.global).flowsNamespace | default "taxi-flows" }}
{{- end }}

{{- define "common.pod" -}}
automountServiceAccountToken: {{ index . 1 }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 0 }}
  runAsGroup: {{ index . 0 }}
  fsGroup: {{ index . 0 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "common.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "common.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end }}

{{- define "common.httpProbes" -}}
startupProbe:
  httpGet: {path: {{ index . 1 }}, port: {{ index . 0 }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: {path: {{ index . 1 }}, port: {{ index . 0 }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: {{ index . 2 }}, port: {{ index . 0 }}}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{- define "common.dataClaim" -}}
{{- $at := index . 0 }}
{{- $persistence := index . 1 -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
    labels:
      app.kubernetes.io/part-of: taxi-flows
  spec:
    accessModes: [ReadWriteOnce]
    {{- with $persistence.storageClass | default ($at.Values.global).storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ $persistence.size }}
{{- end }}

{{- define "common.telemetryFile" -}}
{{- $global := (index . 0).Values.global | default dict }}
{{- $text := (index . 0).Files.Get (index . 1) | replace "http://localhost:4200" ($global.prefectUiUrl | default "http://localhost:4200") }}
{{- $text = $text | replace "http://localhost:8000" ($global.docsUrl | default "http://localhost:8000") }}
{{- with $global.alertFor }}{{ $text = regexReplaceAll "(?m)^( *)for: \\S+$" $text (print "${1}for: " .) }}{{ end }}
{{- $text }}
{{- end }}

{{- define "common.dns" -}}
{{- $dns := (.Values.global).dns | default dict -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ $dns.namespace | default "kube-system" }}
      podSelector:
        matchLabels:
          {{- range $dns.podLabels | default (list "k8s-app=kube-dns") }}
          {{ regexReplaceAll "=.*" . "" }}: {{ regexReplaceAll "^[^=]*=" . "" | quote }}
          {{- end }}
    {{- range $dns.addresses }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    - {port: {{ $dns.port | default 53 | int64 }}, protocol: UDP}
    - {port: {{ $dns.port | default 53 | int64 }}, protocol: TCP}
{{- end }}

{{- define "common.kubernetesApi" -}}
- ports:
    - {port: 443, protocol: TCP}
    - {port: 6443, protocol: TCP}
{{- end }}

{{- define "common.pods" -}}
{{- range . }}
- podSelector:
    matchLabels:
      {{- range $key, $value := . }}
      app.kubernetes.io/{{ $key }}: {{ $value }}
      {{- end }}
{{- end }}
{{- end }}

{{- define "common.podsIn" -}}
{{- $namespace := first . }}
{{- range rest . }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ $namespace }}
  podSelector:
    matchLabels:
      {{- range $key, $value := . }}
      app.kubernetes.io/{{ $key }}: {{ $value }}
      {{- end }}
{{- end }}
{{- end }}
