{{- /* grafana.notifies (.): not empty where alerts go somewhere. */ -}}
{{- define "grafana.notifies" -}}
{{- with .Values.notifications }}{{ if or .webhook .slack .email.addresses }}true{{ end }}{{ end }}
{{- end }}
