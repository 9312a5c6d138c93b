{{- /* flows.milliCpu (QUANTITY): 250m -> 250, "1.5" -> 1500. */ -}}
{{- define "flows.milliCpu" -}}
{{- if hasSuffix "m" . }}{{ trimSuffix "m" . | int }}{{ else }}{{ mulf . 1000 | int }}{{ end }}
{{- end }}

{{- /* flows.workPools (.): workPools as YAML, or an error that names the value that can't be. */ -}}
{{- define "flows.workPools" -}}
{{- range $name, $pool := .Values.workPools }}
  {{- if lt (include "flows.milliCpu" $pool.cpuLimit | int) (include "flows.milliCpu" $pool.cpuRequest | int) }}
    {{- fail (printf "workPools.%s.cpuLimit is %s, below workPools.%s.cpuRequest, %s: a run could never use what is set aside for it" $name $pool.cpuLimit $name $pool.cpuRequest) }}
  {{- end }}
{{- end }}
{{- toYaml .Values.workPools }}
{{- end }}

{{- /* flows.image (. NAME): one of images, or an error that names its path. */ -}}
{{- define "flows.image" -}}
{{- $name := index . 1 }}
{{- $hint := printf "the image that images/%s builds; Skaffold sets it" $name }}
{{- include "common.required" (list (index . 0) (print "images." $name) (index (index . 0).Values.images $name) $hint) }}
{{- end }}

{{- /* flows.prefectEnv (.): how a pod reaches Prefect's API, and that it starts none of its own. */ -}}
{{- define "flows.prefectEnv" -}}
{{- $hint := "the Secret with auth-string; k8s/ensure-secrets.sh makes prefect-auth" -}}
{{- $secret := include "common.required" (list . "prefect.existingSecret" .Values.prefect.existingSecret $hint) -}}
- {name: PREFECT_API_URL, value: {{ .Values.prefect.apiUrl | quote }}}
# What a log calls `View at`; workers hand it on to runs.
- {name: PREFECT_UI_URL, value: {{ .Values.prefect.uiUrl | quote }}}
{{ include "common.secretEnv" (list "PREFECT_API_AUTH_STRING" $secret "auth-string") }}
- {name: PREFECT_SERVER_EPHEMERAL_ENABLED, value: "false"}
- {name: DO_NOT_TRACK, value: "1"}
- {name: HOME, value: /tmp}
- {name: PREFECT_HOME, value: /tmp/prefect}
{{- end }}

{{- /* flows.repository (REFERENCE): registry:5000/name:tag@sha256:... -> registry:5000/name. */ -}}
{{- define "flows.repository" -}}
{{- regexReplaceAll "(:[^/:@]+)?(@[^@]+)?$" . "" }}
{{- end }}

{{- /*
flows.imagePattern (.): a regular expression of the images that runs may have: the repositories of this release's, whatever
the tag, since during an upgrade some runs still ask for the former one.
*/ -}}
{{- define "flows.imagePattern" -}}
{{- $repositories := list }}
{{- range list "experiment" "evaluation" "sweep" "aggregate" }}
{{- $repositories = append $repositories (include "flows.repository" (include "flows.image" (list $ .)) | regexQuoteMeta) }}
{{- end }}
{{- range .Values.flowRuns.images }}
{{- $repositories = append $repositories (regexQuoteMeta .) }}
{{- end }}
{{- printf "^(%s)(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$" ($repositories | uniq | join "|") }}
{{- end }}

{{- /* flows.longestSeconds (.): the longest deadline of a work pool. */ -}}
{{- define "flows.longestSeconds" -}}
{{- $longest := 0 }}
{{- range .Values.workPools }}{{ $longest = max $longest (.activeDeadlineSeconds | int64) }}{{ end }}
{{- $longest }}
{{- end }}
