module poolwarden.io/e2e/rollouts

go 1.27.0

require (
	k8s.io/kubernetes v1.38.0-beta.0
)
