output "cluster" {
  description = "Command that makes kubectl use the cluster."
  value       = "gcloud container clusters get-credentials ${google_container_cluster.hello.name} --location ${var.region} --project ${var.project}"
}

output "address" {
  description = "Address that the name of the host has to point to."
  value       = google_compute_global_address.gateway.address
}

output "owner_url" {
  description = "URI of the database, for the Secret that hello.yaml names."
  value       = module.database.owner_url
  sensitive   = true
}

output "authority" {
  description = "Certificate authority of the database's server, for the same Secret."
  value       = module.database.authority
}
