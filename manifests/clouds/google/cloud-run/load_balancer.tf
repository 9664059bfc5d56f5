# Google's load balancer: one address, TLS, and the service behind it.

resource "google_compute_global_address" "hello" {
  name       = "hello"
  depends_on = [module.database]
}

resource "google_compute_managed_ssl_certificate" "hello" {
  name       = "hello"
  depends_on = [module.database]

  managed {
    domains = [var.host]
  }
}

resource "google_compute_region_network_endpoint_group" "hello" {
  name                  = "hello"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloud_run_v2_service.hello.name
  }
}

resource "google_compute_backend_service" "hello" {
  name                  = "hello"
  load_balancing_scheme = "EXTERNAL_MANAGED"

  backend {
    group = google_compute_region_network_endpoint_group.hello.id
  }
}

resource "google_compute_url_map" "hello" {
  name            = "hello"
  default_service = google_compute_backend_service.hello.id
}

resource "google_compute_ssl_policy" "hello" {
  name            = "hello"
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
  depends_on      = [module.database]
}

resource "google_compute_target_https_proxy" "hello" {
  name             = "hello"
  url_map          = google_compute_url_map.hello.id
  ssl_certificates = [google_compute_managed_ssl_certificate.hello.id]
  ssl_policy       = google_compute_ssl_policy.hello.id
}

resource "google_compute_global_forwarding_rule" "hello" {
  name                  = "hello"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.hello.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.hello.id
}
