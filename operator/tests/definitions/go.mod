// Modules whose definitions of custom resources the tests install; nothing here is built.
module hello.internal/definitions

go 1.24

require (
	github.com/cloudnative-pg/cloudnative-pg v1.29.1
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.3.0
)
