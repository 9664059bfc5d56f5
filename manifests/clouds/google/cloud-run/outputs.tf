output "address" {
  description = "Address that the name of the host has to point to."
  value       = google_compute_global_address.hello.address
}

output "service" {
  description = "Cloud Run's own address of the service, which only the load balancer reaches."
  value       = google_cloud_run_v2_service.hello.uri
}
