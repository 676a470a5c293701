{{- define "poolwarden.labels" -}}
app.kubernetes.io/name: poolwarden
{{- end }}

{{- define "poolwarden.selector" -}}
app.kubernetes.io/name: poolwarden
app.kubernetes.io/component: operator
{{- end }}

{{/* What the operator does with pools and around them; docs/operations.md says which call needs which rule. */}}
{{- define "poolwarden.rules" -}}
- apiGroups: [poolwarden.io]
  resources: [inferencepools]
  verbs: [list, watch, patch]
- apiGroups: [poolwarden.io]
  resources: [inferencepools/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, update, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch]
{{- if not .Values.watchNamespace }}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [statefulsets/scale]
  verbs: [patch]
{{- if .Values.targets.leaderWorkerSets }}
- apiGroups: [leaderworkerset.x-k8s.io]
  resources: [leaderworkersets]
  verbs: [list, watch]
- apiGroups: [leaderworkerset.x-k8s.io]
  resources: [leaderworkersets/scale]
  verbs: [patch]
{{- end }}
{{- if .Values.targets.rollouts }}
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [list, watch]
- apiGroups: [argoproj.io]
  resources: [rollouts/scale]
  verbs: [patch]
{{- end }}
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch, create, update, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list, watch]
{{- if not .Values.watchNamespace }}
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies]
  verbs: [list, watch]
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicybindings]
  verbs: [list, watch]
{{- end }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
