{{/* Name of the operator's objects: `headgate-operator` for the release `headgate`. */}}
{{- define "headgate.name" -}}
{{- printf "%s-operator" (.Release.Name | trimSuffix "-operator" | trunc 54 | trimSuffix "-") -}}
{{- end }}

{{- define "headgate.selector" -}}
app.kubernetes.io/name: headgate-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "headgate.labels" -}}
{{ include "headgate.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: headgate
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Of what runs before the operator is uninstalled. Its pod is none of the operator's. */}}
{{- define "headgate.leave.labels" -}}
app.kubernetes.io/name: headgate-leave
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: headgate
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* From the weight: what the Job needs goes before it. */}}
{{- define "headgate.leave.annotations" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* An image's full name, from (list image appVersion). */}}
{{- define "headgate.image" -}}
{{- $image := index . 0 -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default (index . 1) }}{{ end -}}
{{- end }}

{{/* What of a media pod's labels becomes a label of its series; the same as in config/prometheus/prometheus.yaml. */}}
{{- define "headgate.relabelings" -}}
- sourceLabels: [__meta_kubernetes_pod_label_headgate_dev_server]
  targetLabel: server
{{- end }}
