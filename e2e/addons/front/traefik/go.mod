// The definitions of the Gateway API that Traefik is made with.
module hello.example/e2e/traefik

go 1.26.4

require sigs.k8s.io/gateway-api v1.6.3
